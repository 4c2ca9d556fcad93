//! The state of the index, as PostgreSQL tells it: by the transactions that are seen.
//!
//! Whoever asks must get a state that is no older than their question, so the answer to one question is good for all that were
//! waiting when it was sent, and for none that came later. One connection, apart from those of the pool, does nothing but that: while
//! one question is under way those who come gather, and the next one is for all of them. So however many ask, there is one question
//! at a time, and nobody waits for more than two.

use std::time::Duration;

use async_trait::async_trait;
use database::{Revision, Revisions};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use crate::PostgresDatabase;

/// How many may wait to be gathered; who comes later waits in line.
const GATHERED: usize = 1024;
/// How long an answer may take, a new connection included. Who gets none looks things up, which has a patience of its own.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after a failure nobody is kept waiting for another one.
const PAUSE: Duration = Duration::from_secs(1);

/// The line of those who want to know.
#[derive(Debug, Clone)]
pub(crate) struct Line(mpsc::Sender<Question>);

#[derive(Debug)]
enum Question {
    /// Where does the index stand?
    State(oneshot::Sender<Option<Revision>>),
    /// Will you close your connection?
    Close(oneshot::Sender<()>),
}

impl Line {
    /// A line at whose other end is a connection, made when the first question comes. It is closed when nobody can ask any more.
    pub(crate) fn open(connecting: &PgConnectOptions) -> Self {
        let (line, questions) = mpsc::channel(GATHERED);
        let connecting = connecting.clone().disable_statement_logging();
        tokio::spawn(answer(Asking { connecting, open: None, failed_at: None }, questions));
        Self(line)
    }

    async fn ask(&self) -> Option<Revision> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::State(answer)).await.ok()?;
        answered.await.ok().flatten()
    }

    /// Closes the connection; the next question makes another one.
    pub(crate) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Question::Close(answer)).await.is_ok() {
            // Whoever should close it has ended, and the connection with them.
            let _ = answered.await;
        }
    }
}

#[async_trait]
impl Revisions for PostgresDatabase {
    fn revision(&self) -> Option<Revision> {
        None
    }

    async fn ask_revision(&self) -> Option<Revision> {
        self.line.ask().await
    }
}

async fn answer(mut asking: Asking, mut questions: mpsc::Receiver<Question>) {
    let mut gathered = Vec::with_capacity(GATHERED);
    while questions.recv_many(&mut gathered, GATHERED).await > 0 {
        let (mut waiting, mut closing) = (Vec::new(), Vec::new());
        for question in gathered.drain(..) {
            match question {
                Question::State(answer) => waiting.push(answer),
                Question::Close(answer) => closing.push(answer),
            }
        }
        if !waiting.is_empty() {
            let state = asking.state().await;
            for answer in waiting {
                // They may have given up.
                let _ = answer.send(state);
            }
        }
        if !closing.is_empty() {
            asking.close().await;
            for answer in closing {
                let _ = answer.send(());
            }
        }
    }
    asking.close().await;
}

/// The connection.
struct Asking {
    connecting: PgConnectOptions,
    open: Option<Open>,
    failed_at: Option<Instant>,
}

struct Open {
    connection: PgConnection,
    /// Another one for each connection. The server may have come back from a crash in between, before which transactions that never
    /// were acknowledged had the numbers that others have now.
    salt: u64,
}

impl Asking {
    async fn state(&mut self) -> Option<Revision> {
        if self.failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return None;
        }
        // Taken out meanwhile: a connection on which an answer is outstanding is of no use.
        let open = self.open.take();
        match timeout(PATIENCE, ask(&self.connecting, open)).await {
            Ok(Ok((open, state))) => {
                (self.open, self.failed_at) = (Some(open), None);
                Some(state)
            }
            Ok(Err(_)) | Err(_) => {
                self.failed_at = Some(Instant::now());
                None
            }
        }
    }

    async fn close(&mut self) {
        if let Some(Open { connection, .. }) = self.open.take() {
            // It served its purpose, whatever it says in the end.
            let _ = timeout(PATIENCE, connection.close()).await;
        }
    }
}

async fn ask(connecting: &PgConnectOptions, open: Option<Open>) -> sqlx::Result<(Open, Revision)> {
    let mut open = match open {
        Some(open) => open,
        None => Open { connection: connecting.connect().await?, salt: rand::random() },
    };
    let state = sqlx::query_file_scalar!("sql/revision.sql").fetch_one(&mut open.connection).await?;
    let mut bytes = [0; 48];
    for (to, from) in bytes.iter_mut().zip(state.iter().chain(&open.salt.to_be_bytes())) {
        *to = *from;
    }
    Ok((open, Revision::new(bytes)))
}
