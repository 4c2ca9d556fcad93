//! Leases.

use std::sync::Arc;

use protocol::Timestamp;

use super::{Subject, fixtures::NOW};
use crate::{ChoreRun, Lease};

checks![
    a_lease_has_one_holder,
    a_lease_that_ran_out_is_free,
    a_lease_is_given_back_by_its_holder_only,
    of_many_at_once_one_gets_it,
    the_last_run_of_a_chore_is_kept,
];

fn lease(name: &str, holder: &str, seconds: i64) -> Lease {
    Lease { name: name.to_owned(), holder: holder.to_owned(), until: Timestamp(NOW.0 + seconds) }
}

async fn a_lease_has_one_holder(db: Subject) {
    assert!(db.acquire_lease(&lease("gc", "a", 60), NOW).await.unwrap());
    assert!(!db.acquire_lease(&lease("gc", "b", 60), NOW).await.unwrap());
    assert!(db.acquire_lease(&lease("scrub", "b", 30), NOW).await.unwrap(), "another chore is another lease");
    assert!(db.acquire_lease(&lease("gc", "a", 90), NOW).await.unwrap(), "the holder renews it");
    let leases = db.live_leases(NOW).await.unwrap();
    assert_eq!(leases, [lease("gc", "a", 90), lease("scrub", "b", 30)]);
}

async fn a_lease_that_ran_out_is_free(db: Subject) {
    assert!(db.acquire_lease(&lease("gc", "a", 60), NOW).await.unwrap());
    assert!(!db.acquire_lease(&lease("gc", "b", 200), Timestamp(NOW.0 + 59)).await.unwrap());
    assert!(db.acquire_lease(&lease("gc", "b", 200), Timestamp(NOW.0 + 60)).await.unwrap());
    assert!(!db.acquire_lease(&lease("gc", "a", 300), Timestamp(NOW.0 + 61)).await.unwrap(), "too late to renew");
    assert!(db.live_leases(Timestamp(NOW.0 + 200)).await.unwrap().is_empty());
}

async fn a_lease_is_given_back_by_its_holder_only(db: Subject) {
    assert!(db.acquire_lease(&lease("gc", "a", 60), NOW).await.unwrap());
    db.release_lease("gc", "b").await.unwrap();
    assert!(!db.acquire_lease(&lease("gc", "b", 60), NOW).await.unwrap());
    db.release_lease("gc", "a").await.unwrap();
    assert!(db.acquire_lease(&lease("gc", "b", 60), NOW).await.unwrap());
}

async fn of_many_at_once_one_gets_it(db: Subject) {
    let mut tasks = Vec::new();
    for holder in 0..8 {
        let db = Arc::clone(&db);
        let wanted = lease("gc", &holder.to_string(), 60);
        tasks.push(tokio::spawn(async move { db.acquire_lease(&wanted, NOW).await.unwrap() }));
    }
    let mut winners = 0;
    for task in tasks {
        winners += i32::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

async fn the_last_run_of_a_chore_is_kept(db: Subject) {
    assert_eq!(db.last_chore_run("gc").await.unwrap(), None);
    let run = |at| ChoreRun { started_at: NOW, finished_at: Timestamp(at), report: format!("{{\"at\":{at}}}") };
    for at in [1, 2] {
        db.note_chore_run("gc", &run(at)).await.unwrap();
        assert_eq!(db.last_chore_run("gc").await.unwrap(), Some(run(at)));
    }
    assert_eq!(db.last_chore_run("scrub").await.unwrap(), None);
}
