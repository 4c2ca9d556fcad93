//! What a watcher tells: lines for people, objects for programs.

use std::io::Write;

use client::{
    push::Outcome,
    report::{Event, Reporter},
    watch::{Summary, WatchEvent, WatchReporter},
};
use formats::{StoreDir, StorePath};
use serde_json::{Value, json};

use crate::{
    output::{chain, paths, size},
    progress,
    target::Target,
};
use std::sync::Arc;

use crate::output::Printer;

/// How many of many paths are named.
const NAMED: usize = 10;

/// Where the news go.
pub(in crate::commands) struct Out {
    printer: Printer,
    lines: Arc<dyn Reporter>,
    json: Option<Json>,
}

/// Which stream takes the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Stream {
    Output,
    Error,
}

struct Json {
    stream: Stream,
    store_dir: StoreDir,
}

impl Out {
    /// Lines on standard error.
    pub(in crate::commands) fn lines(printer: Printer) -> Self {
        Self { printer, lines: progress::lines(printer), json: None }
    }

    /// Objects.
    pub(in crate::commands) fn json(printer: Printer, stream: Stream, store_dir: StoreDir) -> Self {
        Self { json: Some(Json { stream, store_dir }), ..Self::lines(printer) }
    }

    /// What is not quite right.
    pub(in crate::commands) fn warning(&self, text: &str) {
        match &self.json {
            Some(json) => json.print(&json!({"event": "warning", "message": text})),
            None => self.printer.warning(text),
        }
    }

    /// What came of the watch. The word by which scripts count paths is not in it.
    pub(in crate::commands) fn summary(&self, summary: &Summary, target: &Target) {
        match &self.json {
            Some(json) => json.print(&json!({
                "event": "summary",
                "cache": target.cache,
                "sent": summary.sent.paths,
                "nar_bytes": summary.sent.bytes,
                "incrementally": summary.incrementally.paths,
                "left": summary.left.iter().map(|path| json.store_dir.join(path)).collect::<Vec<_>>(),
            })),
            None => {
                self.printer.note(summary_line(summary, target));
                if !summary.left.is_empty() {
                    self.printer.warning(left_over(&summary.left));
                }
            }
        }
    }
}

impl Json {
    fn print(&self, value: &Value) {
        // A reader that went away is nobody's error.
        let _ = match self.stream {
            Stream::Output => writeln!(std::io::stdout(), "{value}"),
            Stream::Error => writeln!(std::io::stderr(), "{value}"),
        };
    }
}

impl Reporter for Out {
    fn report(&self, event: Event<'_>) {
        let Some(json) = &self.json else { return self.lines.report(event) };
        match event {
            Event::Finished { path, nar_size, outcome: Outcome::Uploaded(uploaded) } => json.print(&json!({
                "event": "pushed",
                "path": json.store_dir.join(path),
                "nar_size": nar_size,
                "file_size": uploaded.file_size,
            })),
            Event::EndpointIgnored(endpoint) => {
                self.warning(&format!("the server wants us at {endpoint:?}, which is not as safe as where we are"));
            }
            Event::Began(_)
            | Event::Started { .. }
            | Event::Sent { .. }
            | Event::Waiting { .. }
            | Event::OtherVersion { .. }
            | Event::Finished { .. } => {}
        }
    }
}

impl WatchReporter for Out {
    fn report(&self, event: WatchEvent<'_>) {
        match &event {
            WatchEvent::Watching { .. } | WatchEvent::Draining { .. } => match &self.json {
                Some(json) => json.print(&beginning(&event, json)),
                None => self.printer.note(line(&event)),
            },
            WatchEvent::Dropped(path) => match &self.json {
                Some(json) => json.print(&json!({"event": "dropped", "path": json.store_dir.join(path)})),
                None => self.printer.note(line(&event)),
            },
            WatchEvent::JournalDamaged(_)
            | WatchEvent::NoEvents(_)
            | WatchEvent::EventsLost
            | WatchEvent::FolderTrouble(_)
            | WatchEvent::StoreTrouble(_)
            | WatchEvent::QueueTrouble(_)
            | WatchEvent::Unavailable { .. }
            | WatchEvent::Stuck { .. } => self.warning(&line(&event)),
        }
    }
}

fn beginning(event: &WatchEvent<'_>, json: &Json) -> Value {
    match event {
        WatchEvent::Watching { folder, since, queued } => {
            json!({"event": "watching", "store_dir": json.store_dir, "folder": folder, "since": since, "queued": queued})
        }
        WatchEvent::Draining { queued, timeout } => {
            json!({"event": "draining", "queued": queued, "timeout_seconds": timeout.as_secs()})
        }
        other => json!({"event": "warning", "message": line(other)}),
    }
}

/// What a log says of an event.
fn line(event: &WatchEvent<'_>) -> String {
    match event {
        WatchEvent::Watching { folder, queued: 0, .. } => format!("watching {}", folder.display()),
        WatchEvent::Watching { folder, queued, .. } => {
            format!("watching {}; {} to send from before", folder.display(), paths(*queued))
        }
        WatchEvent::JournalDamaged(lines) => {
            format!("{lines} lines of the queue cannot be read; the disk lost something")
        }
        WatchEvent::NoEvents(error) => {
            format!("the system tells nothing of new paths, so they are looked for: {}", chain(*error))
        }
        WatchEvent::EventsLost => "news of new paths was lost, so they are looked for".to_owned(),
        WatchEvent::FolderTrouble(error) => format!("cannot look through the store: {error}"),
        WatchEvent::StoreTrouble(error) => chain(*error),
        WatchEvent::QueueTrouble(error) => chain(*error),
        WatchEvent::Dropped(path) => format!("{path} is not valid any more, so it is not sent"),
        WatchEvent::Unavailable { trouble, queued, wait } => {
            let (wait, queued) = (wait.as_secs_f64(), paths(*queued));
            format!("{queued} cannot be sent now, next attempt in {wait:.0} s: {}", chain(*trouble))
        }
        WatchEvent::Stuck { path, why, wait } => {
            format!("{path} cannot be sent, next attempt in {:.0} s: {}", wait.as_secs_f64(), chain(*why))
        }
        WatchEvent::Draining { queued: 0, .. } => "stopping".to_owned(),
        WatchEvent::Draining { queued, timeout } => {
            format!("stopping once {} are sent, or after {}", paths(*queued), humantime::format_duration(*timeout))
        }
    }
}

fn summary_line(summary: &Summary, target: &Target) -> String {
    let (sent, incrementally) = (&summary.sent, &summary.incrementally);
    let count = |count: u64| paths(usize::try_from(count).unwrap_or(usize::MAX));
    format!(
        "sent {} ({}) to {}, {} of them incrementally",
        count(sent.paths),
        size(sent.bytes),
        target.cache,
        incrementally.paths
    )
}

/// What is left in a queue, by name as far as they are few.
pub(in crate::commands) fn left_over(left: &std::collections::BTreeSet<StorePath>) -> String {
    let mut text = format!("{} left in the queue:", paths(left.len()));
    for path in left.iter().take(NAMED) {
        text.push_str(&format!(" {path}"));
    }
    if left.len() > NAMED {
        text.push_str(&format!(" and {} more", left.len() - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path, time::Duration};

    use client::{api::ApiError, push::PushError, watch::Amount};
    use protocol::Timestamp;

    use super::*;

    fn path(name: &str) -> StorePath {
        format!("{}-{name}", "a".repeat(32)).parse().unwrap()
    }

    #[test]
    fn the_word_that_scripts_count_is_in_no_line_of_the_watchers() {
        let trouble = PushError::Api(ApiError::Token).into();
        let (path, minute) = (path("a"), Duration::from_secs(60));
        let lines = [
            line(&WatchEvent::Watching { folder: Path::new("/nix/store"), since: Timestamp(0), queued: 0 }),
            line(&WatchEvent::Watching { folder: Path::new("/nix/store"), since: Timestamp(0), queued: 2 }),
            line(&WatchEvent::Draining { queued: 2, timeout: minute }),
            line(&WatchEvent::Dropped(&path)),
            line(&WatchEvent::Unavailable { trouble: &trouble, queued: 1, wait: minute }),
            line(&WatchEvent::EventsLost),
        ];
        assert_eq!(lines[1], "watching /nix/store; 2 paths to send from before");
        assert_eq!(lines[2], "stopping once 2 paths are sent, or after 1m");
        assert!(
            lines[4].starts_with("1 path cannot be sent now, next attempt in 60 s: cannot ask the server: the token")
        );
        for line in lines {
            assert!(!line.to_lowercase().contains("push"), "{line}");
        }
    }

    #[test]
    fn the_summary_counts_what_came_before_the_end() {
        let target = Target {
            cache: "main".parse().unwrap(),
            endpoint: "http://h/".parse().unwrap(),
            token: None,
            identity: None,
        };
        let sent = Amount { paths: 3, bytes: 2048 };
        let summary =
            Summary { sent, incrementally: Amount { paths: 2, bytes: 1024 }, left: BTreeSet::from([path("a")]) };
        let line = summary_line(&summary, &target);
        assert_eq!(line, "sent 3 paths (2.0 KiB) to main, 2 of them incrementally");
        assert_eq!(left_over(&summary.left), format!("1 path left in the queue: {}", path("a")));
        let many = (0..12).map(|i| path(&i.to_string())).collect();
        assert!(left_over(&many).ends_with(" and 2 more"));
    }
}
