//! The watcher: finds paths, remembers them, sends them.

use std::{
    collections::BTreeSet,
    future, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use formats::StorePath;
use protocol::{Clock, Timestamp};
use tokio::{sync::watch, task::JoinSet, time::sleep_until};

use super::{
    Amount, Connect, Phase, Queue, QueueError, Since, Tally, WatchEvent, WatchOptions, WatchReporter, blocking,
    debounce::Burst,
    events::{Events, News},
    inbox::Inbox,
    listing::{self, Listing},
    mark::Mark,
    pace::Pace,
    sending::{Sender, Sent},
};
use crate::{
    nix::{LocalStore, StoreError},
    push::PushError,
};

/// How many paths one push takes on; what comes after it is written down sooner.
const BATCH_PATHS: usize = 500;
/// How often to look through the store when the kernel tells nothing.
const BLIND_SWEEP: Duration = Duration::from_secs(2);
/// Looking through the store takes at most one part in so many of the time.
const SWEEP_SHARE: u32 = 20;
/// How long after the last change to a path it is registered, at most: its contents are hashed in between.
const REGISTRATION_MARGIN: Duration = Duration::from_secs(3600);
/// The same where only what is being made right now is of interest.
const START_MARGIN: Duration = Duration::from_secs(60);
/// When to try again to look at the store while draining.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A watch cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The local store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's folder.
    #[error("cannot look through {folder}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What became of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What was sent.
    pub sent: Amount,
    /// How much of it before the watcher was told to stop.
    pub incrementally: Amount,
    /// What is still queued.
    pub left: BTreeSet<StorePath>,
}

/// A watch that has begun: everything that is registered from now on will be found.
pub struct Watch {
    store: Arc<dyn LocalStore>,
    clock: Arc<dyn Clock>,
    reporter: Arc<dyn WatchReporter>,
    tally: Arc<Tally>,
    options: WatchOptions,
    queue: Queue,
    mark: Mark,
    inbox: Inbox,
    events: Option<Events>,
    /// The folder when it was last looked through.
    listing: Listing,
    /// What lies in the folder and was not valid when Nix was last asked, or about which it was not asked yet.
    undecided: BTreeSet<StorePath>,
    /// When the folder was looked through, if it has not been decided since what is to be made of it.
    looked: Option<Timestamp>,
    next_sweep: Instant,
    burst: Burst,
    pace: Pace,
    sender: Option<Sender>,
    drain: Option<Drain>,
}

/// The end of a watch.
struct Drain {
    deadline: Instant,
    incrementally: Amount,
    /// Whether everything that was there when it began is in the queue.
    is_complete: bool,
    look_again: Instant,
    /// Only somebody's intervention would help.
    is_hopeless: bool,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// The store cannot be looked through, or the queue cannot be written.
    pub async fn begin(
        store: Arc<dyn LocalStore>,
        queue: Queue,
        connect: Connect,
        tally: Arc<Tally>,
        reporter: Arc<dyn WatchReporter>,
        clock: Arc<dyn Clock>,
        options: WatchOptions,
    ) -> Result<Self, WatchError> {
        let folder = store.folder().to_owned();
        let failed = |source| WatchError::Folder { folder: folder.clone(), source };
        let queue_failed = |source| QueueError::Io { folder: queue.folder().to_owned(), source };
        if queue.damaged_lines() > 0 {
            reporter.report(WatchEvent::JournalDamaged(queue.damaged_lines()));
        }
        let inbox = Inbox::open(queue.folder()).map_err(queue_failed)?;
        let mark = Mark::of(queue.folder());
        let left_off = mark.read().map_err(queue_failed)?;
        // First listen, then look: what comes in between is found twice rather than not at all.
        let events = Events::listen(&folder, inbox.folder(), options.filter)
            .inspect_err(|error| reporter.report(WatchEvent::NoEvents(error)))
            .ok();
        let now = clock.now();
        let (since, margin) = match (options.since, left_off) {
            (Since::Time(time), _) | (Since::LeftOff, Some(time)) => (time, REGISTRATION_MARGIN),
            (Since::LeftOff, None) => (now, START_MARGIN),
        };
        let (there, filter) = (folder.clone(), options.filter);
        let looked = blocking(move || {
            let listing = Listing::read(&there, filter)?;
            Ok((listing, listing::recent(&there, filter, since, margin)?))
        });
        let (listing, recent) = looked.await.map_err(failed)?;
        let mut watch = Self {
            sender: Some(Sender::new(connect, Arc::clone(&store))),
            store,
            clock,
            reporter,
            tally,
            options,
            queue,
            mark,
            inbox,
            events,
            listing,
            undecided: recent,
            looked: Some(now),
            next_sweep: Instant::now(),
            burst: Burst::default(),
            pace: Pace::default(),
            drain: None,
        };
        watch.next_sweep = Instant::now() + watch.sweep_interval();
        watch.decide(Some(since)).await?;
        let queued = watch.queue.paths().len();
        watch.reporter.report(WatchEvent::Watching { folder: &folder, since, queued });
        Ok(watch)
    }

    /// Tries to reach the cache, which is not needed for anything but to know.
    ///
    /// # Errors
    /// It cannot be reached, or not be pushed to.
    pub async fn connect(&mut self) -> Result<(), PushError> {
        match &mut self.sender {
            Some(sender) => sender.connect().await,
            None => Ok(()),
        }
    }

    /// Watches until it is told otherwise, and gives what came of it.
    pub async fn run(mut self, mut phase: watch::Receiver<Phase>) -> Summary {
        // One at most. It goes on while we look, and ends with us.
        let mut sending: JoinSet<(Sender, Sent)> = JoinSet::new();
        let mut urgent = phase.clone();
        loop {
            let told = *phase.borrow_and_update();
            if told >= Phase::Draining && self.drain.is_none() {
                self.begin_to_drain();
            }
            let deadline = self.drain.as_ref().map(|drain| drain.deadline);
            // Nix may take its time to answer, which must not keep anybody from stopping.
            tokio::select! {
                biased;
                _ = urgent.wait_for(|phase| *phase == Phase::Stopping) => break,
                () = reached(deadline) => break,
                () = self.look() => {},
            }
            let now = Instant::now();
            if let Some((mut sender, paths)) = self.next_batch(now) {
                sending.spawn(async move {
                    let sent = sender.send(paths).await;
                    (sender, sent)
                });
            }
            if let Some(drain) = &self.drain {
                let is_over = drain.is_complete && sending.is_empty() && (drain.is_hopeless || self.is_all_stuck());
                if is_over || now >= drain.deadline {
                    break;
                }
            }
            let wake = self.wake(!sending.is_empty(), now);
            tokio::select! {
                changed = phase.changed() => if changed.is_err() {
                    // Nobody is left who could tell us to stop.
                    break;
                },
                Some(sent) = sending.join_next() => match sent {
                    Ok((sender, sent)) => {
                        self.sender = Some(sender);
                        self.settle(&sent);
                    }
                    Err(panic) => std::panic::resume_unwind(panic.into_panic()),
                },
                news = next_news(&mut self.events) => self.hear(news),
                () = sleep_until(wake.into()) => {},
            }
        }
        // What is being sent is asked for again by the next watcher.
        self.end()
    }

    fn end(self) -> Summary {
        let sent = self.tally.amount();
        let incrementally = self.drain.as_ref().map_or(sent, |drain| drain.incrementally);
        if self.drain.as_ref().is_some_and(|drain| drain.is_complete) {
            // If it stays, the next watcher looks further back than it needs to.
            let _ = self.mark.clear();
        }
        Summary { sent, incrementally, left: self.queue.paths().clone() }
    }

    fn sweep_interval(&self) -> Duration {
        if self.events.is_some() { self.options.sweep } else { self.options.sweep.min(BLIND_SWEEP) }
    }

    fn hear(&mut self, news: Option<News>) {
        match news {
            Some(News::Path(path)) => drop(self.undecided.insert(path)),
            Some(News::Inbox) => {}
            Some(News::Lost) => {
                self.reporter.report(WatchEvent::EventsLost);
                self.next_sweep = Instant::now();
            }
            None => {
                self.events = None;
                self.next_sweep = Instant::now();
            }
        }
        self.burst.touch(Instant::now());
    }

    async fn look(&mut self) {
        match self.drain {
            None => self.look_while_watching().await,
            Some(_) => self.look_while_draining().await,
        }
    }

    async fn look_while_watching(&mut self) {
        if Instant::now() >= self.next_sweep && self.sweep().await {
            self.burst.touch(Instant::now());
        }
        if self.burst.due(self.options.batching).is_some_and(|due| due <= Instant::now()) {
            self.burst.clear();
            if let Err(error) = self.decide(None).await {
                self.complain(&error);
                self.burst.touch(Instant::now());
            }
        }
    }

    fn begin_to_drain(&mut self) {
        let timeout = self.options.drain_timeout;
        self.reporter.report(WatchEvent::Draining { queued: self.queue.paths().len(), timeout });
        self.pace.hurry();
        let now = Instant::now();
        self.drain = Some(Drain {
            deadline: now + timeout,
            incrementally: self.tally.amount(),
            is_complete: false,
            look_again: now,
            is_hopeless: false,
        });
    }

    async fn look_while_draining(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        if drain.is_complete || Instant::now() < drain.look_again {
            return;
        }
        drain.look_again = Instant::now() + LOOK_AGAIN;
        let is_complete = self.sweep().await
            && match self.decide(None).await {
                Ok(()) => true,
                Err(error) => {
                    self.complain(&error);
                    false
                }
            };
        if let Some(drain) = &mut self.drain {
            drain.is_complete = is_complete;
        }
    }

    /// Looks through the store's folder; tells whether that succeeded.
    async fn sweep(&mut self) -> bool {
        let begin = Instant::now();
        let looked = self.clock.now();
        let (folder, filter) = (self.store.folder().to_owned(), self.options.filter);
        let listing = match blocking(move || Listing::read(&folder, filter)).await {
            Ok(listing) => listing,
            Err(error) => {
                self.reporter.report(WatchEvent::FolderTrouble(&error));
                self.next_sweep = begin + self.sweep_interval();
                return false;
            }
        };
        // Whatever is not there is not valid.
        self.undecided.retain(|path| listing.has(path));
        self.undecided.extend(listing.since(&self.listing).cloned());
        (self.listing, self.looked) = (listing, Some(looked));
        let now = Instant::now();
        self.next_sweep = now + self.sweep_interval().max((now - begin) * SWEEP_SHARE);
        true
    }

    /// Asks Nix what of the undecided and of the inbox is valid, and queues that. With `since`, what was registered earlier is
    /// left out.
    async fn decide(&mut self, since: Option<Timestamp>) -> Result<(), WatchError> {
        let folder = self.queue.folder().to_owned();
        let queue_failed = |source| QueueError::Io { folder: folder.clone(), source };
        let delivery = self.inbox.look().map_err(queue_failed)?;
        let delivered: BTreeSet<StorePath> = delivery.paths.iter().cloned().collect();
        let asked: BTreeSet<StorePath> = self.undecided.union(&delivered).cloned().collect();
        if !asked.is_empty() {
            let (store, question) = (Arc::clone(&self.store), asked.clone());
            let valid = blocking(move || store.registrations(&question)).await?;
            let is_new =
                |registered: &Option<Timestamp>| registered.zip(since).is_none_or(|(time, since)| time >= since);
            let new = valid.iter().filter(|(path, time)| delivered.contains(*path) || is_new(time));
            self.queue.add(new.map(|(path, _)| path.clone()))?;
            self.undecided.retain(|path| !valid.contains_key(path));
            for path in delivered.iter().filter(|path| !valid.contains_key(*path)) {
                self.reporter.report(WatchEvent::Dropped(path));
            }
        }
        delivery.taken().map_err(queue_failed)?;
        if let Some(looked) = self.looked.take() {
            self.mark.set(looked).map_err(queue_failed)?;
        }
        Ok(())
    }

    fn complain(&self, error: &WatchError) {
        self.reporter.report(match error {
            WatchError::Queue(error) => WatchEvent::QueueTrouble(error),
            WatchError::Store(error) => WatchEvent::StoreTrouble(error),
            WatchError::Folder { source, .. } => WatchEvent::FolderTrouble(source),
        });
    }

    /// What may be sent now, if there is anything, and by whom.
    fn next_batch(&mut self, now: Instant) -> Option<(Sender, BTreeSet<StorePath>)> {
        if !self.pace.server_is_due(now) || self.drain.as_ref().is_some_and(|drain| drain.is_hopeless) {
            return None;
        }
        let due = self.queue.paths().iter().filter(|path| self.pace.path_is_due(path, now));
        let paths: BTreeSet<StorePath> = due.take(BATCH_PATHS).cloned().collect();
        if paths.is_empty() {
            return None;
        }
        Some((self.sender.take()?, paths))
    }

    fn settle(&mut self, sent: &Sent) {
        let now = Instant::now();
        if let Err(error) = self.queue.remove(sent.done.iter().chain(&sent.invalid)) {
            self.reporter.report(WatchEvent::QueueTrouble(&error));
        }
        for path in sent.done.iter().chain(&sent.invalid) {
            self.pace.forget(path);
        }
        for path in &sent.invalid {
            self.reporter.report(WatchEvent::Dropped(path));
        }
        for (path, why) in &sent.stuck {
            let wait = self.pace.path_failed(path, now);
            self.reporter.report(WatchEvent::Stuck { path, why, wait });
        }
        match &sent.trouble {
            None => self.pace.server_succeeded(),
            Some(trouble) => {
                let wait = self.pace.server_failed(self.drain.is_some(), trouble.asked(), now);
                if let Some(drain) = &mut self.drain {
                    drain.is_hopeless |= trouble.is_lasting();
                }
                self.reporter.report(WatchEvent::Unavailable { trouble, queued: self.queue.paths().len(), wait });
            }
        }
    }

    /// Tells whether nothing is queued but what has been tried and cannot be sent.
    fn is_all_stuck(&self) -> bool {
        self.queue.paths().iter().all(|path| self.pace.is_stuck(path))
    }

    /// When there will be something to do, unless something happens before.
    fn wake(&self, is_sending: bool, now: Instant) -> Instant {
        let is_hopeless = self.drain.as_ref().is_some_and(|drain| drain.is_hopeless);
        let retry = if is_sending || is_hopeless { None } else { self.pace.next(self.queue.paths().iter(), now) };
        let look = match &self.drain {
            Some(drain) if drain.is_complete => Some(drain.deadline),
            Some(drain) => Some(drain.deadline.min(drain.look_again)),
            None => Some(self.next_sweep.min(self.burst.due(self.options.batching).unwrap_or(self.next_sweep))),
        };
        retry.into_iter().chain(look).min().unwrap_or(now + BLIND_SWEEP)
    }
}

/// Waits until then, or for ever.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}

/// Waits for news, for ever if there will be none.
async fn next_news(events: &mut Option<Events>) -> Option<News> {
    match events {
        Some(events) => events.next().await,
        None => future::pending().await,
    }
}
