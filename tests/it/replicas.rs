//! Several servers, equal to each other, on one PostgreSQL and one storage.

mod answers;
mod outage;
mod sharing;
mod soak;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use formats::PublicKey;
use tempfile::TempDir;

use crate::harness::{Answer, Http, Server, TestPath};

/// How long a client goes on trying.
const PATIENCE: Duration = Duration::from_secs(90);

/// Servers on one database and in one folder.
struct Replicas {
    servers: Vec<Server>,
    database: Arc<scratch::Database>,
    token: String,
    key: PublicKey,
    _storage: Option<TempDir>,
}

impl Replicas {
    /// So many servers on a database of their own, started at once; `main` is a public cache.
    async fn start(count: usize) -> Self {
        Self::on(scratch::Database::new(), count).await
    }

    async fn on(database: scratch::Database, count: usize) -> Self {
        let storage = tempfile::Builder::new().prefix("flywheel-store-").tempdir_in("/tmp").unwrap();
        let config = format!(
            "[storage]\ntype = \"local\"\npath = \"{}\"\n[jwt.signing]\ntoken-hs256-secret-base64 = \"{}\"\n",
            storage.path().display(),
            "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC1zZWNyZXQ=",
        );
        let mut replicas = Self::configured(database, vec![config; count]).await;
        replicas._storage = Some(storage);
        replicas
    }

    /// One with each of these configurations.
    async fn configured(database: scratch::Database, configs: Vec<String>) -> Self {
        let database = Arc::new(database);
        // All at once: one brings the schema up to date, one makes the cache.
        let starting: Vec<_> = configs
            .into_iter()
            .map(|config| {
                let builder = Server::builder().config(config).database(Arc::clone(&database));
                tokio::task::spawn_blocking(|| builder.start())
            })
            .collect();
        let mut servers = Vec::new();
        for server in starting {
            servers.push(server.await.unwrap());
        }
        let token = servers[0].admin_token();
        let key = servers[0].http().public_key("main").await;
        Self { servers, database, token, key, _storage: None }
    }

    /// Each server, for somebody who may do everything.
    fn admins(&self) -> Vec<Http> {
        self.servers.iter().map(|server| server.http().with_token(&self.token)).collect()
    }
}

/// What a client does that takes a failure for one that passes: asks the next server, and waits a little longer each time.
async fn push_patiently(servers: &[Http], first: usize, path: &TestPath) -> Answer {
    let begin = Instant::now();
    let mut attempt = 0;
    loop {
        let said = servers[(first + attempt) % servers.len()].try_upload("main", path).await;
        match said {
            Ok(answer) if answer.status == 200 => return answer,
            Ok(answer) => {
                let status = answer.status.as_u16();
                assert!(matches!(status, 500..=599), "a failure that does not pass: {status}: {}", answer.text());
                assert!(status != 500, "a failure that nobody understands: {}", answer.text());
            }
            // Cut off, or nobody there.
            Err(_) => {}
        }
        assert!(begin.elapsed() < PATIENCE, "pushed in vain");
        attempt += 1;
        tokio::time::sleep(Duration::from_millis(100) * u32::try_from(attempt.min(20)).unwrap()).await;
    }
}
