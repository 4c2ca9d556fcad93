//! The audit.

use std::time::Duration;

use protocol::Timestamp;

use super::{Subject, fixtures::NOW};
use crate::{Act, ActFilter, ActRow, NewAct, Outcome};

checks![
    an_act_is_read_as_it_was_written,
    pages_of_acts_go_back_in_time,
    acts_are_narrowed_to_a_time_and_a_cache,
    old_acts_are_forgotten,
    acts_beyond_so_many_are_forgotten,
];

fn act(at: Timestamp, cache: Option<&str>, object: &str) -> NewAct {
    NewAct {
        at,
        subject: "admin".to_owned(),
        token: None,
        address: None,
        act: Act::CacheConfigure,
        cache: cache.map(|name| name.parse().unwrap()),
        object: Some(object.to_owned()),
        outcome: Outcome::Done,
        detail: None,
    }
}

async fn list(db: &Subject, filter: &ActFilter) -> Vec<ActRow> {
    db.list_acts(filter, None, 1000).await.unwrap()
}

fn objects(rows: &[ActRow]) -> Vec<&str> {
    rows.iter().map(|row| row.object.as_deref().unwrap()).collect()
}

async fn an_act_is_read_as_it_was_written(db: Subject) {
    let full = NewAct {
        at: NOW,
        subject: "ci's \"own\"\nä".to_owned(),
        token: Some("0123".to_owned()),
        address: Some("::1".to_owned()),
        act: Act::TokenMint,
        cache: Some("main".parse().unwrap()),
        object: Some("4567".to_owned()),
        outcome: Outcome::Refused,
        detail: Some("too much".to_owned()),
    };
    db.record_act(&full).await.unwrap();
    db.record_act(&NewAct { subject: "x".to_owned(), ..act(NOW, None, "o") }).await.unwrap();
    let rows = list(&db, &ActFilter::default()).await;
    let [bare, row] = &rows[..] else { panic!("{rows:?}") };
    let expected = ActRow {
        id: row.id,
        at: full.at,
        subject: full.subject,
        token: full.token,
        address: full.address,
        act: full.act.name().to_owned(),
        cache: full.cache.map(|name| name.to_string()),
        object: full.object,
        outcome: full.outcome.name().to_owned(),
        detail: full.detail,
    };
    assert_eq!(row, &expected);
    assert_eq!((&bare.token, &bare.address, &bare.cache, &bare.detail), (&None, &None, &None, &None));
    // Every kind goes in.
    for (kind, outcome) in Act::ALL.iter().zip([Outcome::Done, Outcome::Refused, Outcome::Failed].into_iter().cycle()) {
        db.record_act(&NewAct { act: *kind, outcome, ..act(NOW, None, "kind") }).await.unwrap();
    }
}

async fn pages_of_acts_go_back_in_time(db: Subject) {
    // Several at the same time, and written down by another replica whose clock goes after.
    for at in 0..25_u64 {
        let when = NOW.plus(Duration::from_secs(at / 4));
        db.record_act(&act(when, Some("main").filter(|_| at % 2 == 0), &at.to_string())).await.unwrap();
    }
    db.record_act(&act(NOW.minus(Duration::from_secs(1)), Some("main"), "late")).await.unwrap();
    for cache in [None, Some("main")] {
        let filter = ActFilter { cache: cache.map(|name| name.parse().unwrap()), ..ActFilter::default() };
        let (mut seen, mut mark) = (Vec::new(), None);
        loop {
            let page = db.list_acts(&filter, mark, 4).await.unwrap();
            let Some(last) = page.last() else { break };
            mark = Some(last.mark());
            seen.extend(page.into_iter().map(|row| row.object.unwrap()));
        }
        let expected = (0..25).rev().filter(|at| cache.is_none() || at % 2 == 0).map(|at| at.to_string());
        assert_eq!(seen, expected.chain(["late".to_owned()]).collect::<Vec<_>>());
    }
}

async fn acts_are_narrowed_to_a_time_and_a_cache(db: Subject) {
    let second = |n| NOW.plus(Duration::from_secs(n));
    for (at, cache, object) in
        [(0, Some("a"), "a0"), (1, Some("b"), "b1"), (2, None, "n2"), (3, Some("a"), "a3"), (4, Some("b"), "b4")]
    {
        db.record_act(&act(second(at), cache, object)).await.unwrap();
    }
    let since = Some(second(2));
    let cache = Some("a".parse().unwrap());
    assert_eq!(objects(&list(&db, &ActFilter { since, cache: None }).await), ["b4", "a3", "n2"]);
    assert_eq!(objects(&list(&db, &ActFilter { since: None, cache: cache.clone() }).await), ["a3", "a0"]);
    assert_eq!(objects(&list(&db, &ActFilter { since, cache }).await), ["a3"]);
}

async fn old_acts_are_forgotten(db: Subject) {
    for at in 0..10_u64 {
        db.record_act(&act(NOW.plus(Duration::from_secs(at)), None, &at.to_string())).await.unwrap();
    }
    let before = NOW.plus(Duration::from_secs(7));
    assert_eq!(db.prune_acts(before, 1000, 4).await.unwrap(), 4);
    assert_eq!(db.prune_acts(before, 1000, 4).await.unwrap(), 3);
    assert_eq!(db.prune_acts(before, 1000, 4).await.unwrap(), 0);
    assert_eq!(objects(&list(&db, &ActFilter::default()).await), ["9", "8", "7"]);
}

async fn acts_beyond_so_many_are_forgotten(db: Subject) {
    assert_eq!(db.prune_acts(NOW, 0, 10).await.unwrap(), 0);
    for at in 0..10_u64 {
        db.record_act(&act(NOW, None, &at.to_string())).await.unwrap();
    }
    while db.prune_acts(Timestamp(0), 3, 4).await.unwrap() > 0 {}
    assert_eq!(objects(&list(&db, &ActFilter::default()).await), ["9", "8", "7"]);
}
