//! What the kernel tells of the store's folder.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use formats::StorePath;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{ModifyKind, RenameMode},
};
use tokio::sync::mpsc;

use super::{PathFilter, listing};

/// How much news waits for us at most; beyond that it is forgotten, and the store is looked through instead.
const WAITING: usize = 8192;

/// A piece of news.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// This path may have become valid.
    Path(StorePath),
    /// Something lies in the inbox.
    Inbox,
    /// News was lost.
    Lost,
}

/// The kernel's news, as long as this lives.
pub(super) struct Events {
    news: mpsc::Receiver<News>,
    lost: Arc<AtomicBool>,
    _watcher: RecommendedWatcher,
}

impl Events {
    /// Begins to listen.
    pub(super) fn listen(store: &Path, inbox: &Path, filter: PathFilter) -> notify::Result<Self> {
        let (sender, news) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicBool::new(false));
        let (inbox_folder, noted) = (inbox.to_owned(), Arc::clone(&lost));
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            for news in read(event, &inbox_folder, filter) {
                if sender.try_send(news).is_err() {
                    noted.store(true, Ordering::Relaxed);
                }
            }
        })?;
        watcher.watch(store, RecursiveMode::NonRecursive)?;
        watcher.watch(inbox, RecursiveMode::NonRecursive)?;
        Ok(Self { news, lost, _watcher: watcher })
    }

    /// The next piece of news; None when the kernel will tell nothing more.
    pub(super) async fn next(&mut self) -> Option<News> {
        if self.lost.swap(false, Ordering::Relaxed) {
            return Some(News::Lost);
        }
        self.news.recv().await
    }
}

/// What an event means to us.
///
/// Nix removes a path's lock once the path is valid, or once it has given up. Whatever else brings a path into the folder may
/// do so long before it is valid; the next event or the next look at the folder will tell.
fn read(event: notify::Result<Event>, inbox: &Path, filter: PathFilter) -> Vec<News> {
    let Ok(event) = event else { return vec![News::Lost] };
    if event.need_rescan() {
        return vec![News::Lost];
    }
    let read = |path: &PathBuf| {
        let name = path.file_name()?;
        let is_arrival = matches!(
            event.kind,
            EventKind::Create(_)
                | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both | RenameMode::Any))
        );
        if path.parent() == Some(inbox) {
            return is_arrival.then_some(News::Inbox);
        }
        let path = match event.kind {
            EventKind::Remove(_) => listing::parse_lock(name, filter),
            _ if is_arrival => listing::parse(name, filter),
            _ => None,
        };
        path.map(News::Path)
    };
    event.paths.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn path(name: &str) -> StorePath {
        format!("{}-{name}", "a".repeat(32)).parse().unwrap()
    }

    #[tokio::test]
    async fn a_removed_lock_and_an_arrival_are_news() {
        let folder = tempfile::tempdir().unwrap();
        let (store, inbox) = (folder.path().join("store"), folder.path().join("inbox"));
        fs::create_dir(&store).unwrap();
        fs::create_dir(&inbox).unwrap();
        let mut events = Events::listen(&store, &inbox, PathFilter::default()).unwrap();
        fs::write(store.join(format!("{}.lock", path("a"))), "").unwrap();
        fs::write(store.join(format!("{}.lock", path("a-source"))), "").unwrap();
        fs::remove_file(store.join(format!("{}.lock", path("a")))).unwrap();
        fs::remove_file(store.join(format!("{}.lock", path("a-source")))).unwrap();
        assert_eq!(events.next().await, Some(News::Path(path("a"))));
        fs::create_dir(store.join(path("b").to_string())).unwrap();
        assert_eq!(events.next().await, Some(News::Path(path("b"))));
        fs::create_dir(folder.path().join("c")).unwrap();
        fs::rename(folder.path().join("c"), store.join(path("c").to_string())).unwrap();
        assert_eq!(events.next().await, Some(News::Path(path("c"))));
        fs::write(inbox.join("1"), "").unwrap();
        assert_eq!(events.next().await, Some(News::Inbox));
    }

    #[test]
    fn a_full_queue_of_the_kernel_is_noticed() {
        let event = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert_eq!(read(Ok(event), Path::new("/inbox"), PathFilter::default()), [News::Lost]);
        let broken = Err(notify::Error::generic("broken"));
        assert_eq!(read(broken, Path::new("/inbox"), PathFilter::default()), [News::Lost]);
    }
}
