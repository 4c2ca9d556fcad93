//! What a person or a log sees of a push while it runs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use client::{
    push::{NotTried, Outcome, Uploaded},
    report::{Event, Reporter},
};
use formats::StorePath;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use protocol::attic::UploadPathResultKind;

use crate::output::{self, Printer, size};

/// Paths smaller than this get no bar of their own: it would be gone before it is read.
const BAR_BYTES: u64 = 4 << 20;

/// The reporter that suits whoever watches.
pub(crate) fn reporter(printer: Printer) -> Arc<dyn Reporter> {
    if printer.shows_bars() { Arc::new(Bars::new()) } else { Arc::new(Lines(printer)) }
}

/// Lines, whoever watches.
pub(crate) fn lines(printer: Printer) -> Arc<dyn Reporter> {
    Arc::new(Lines(printer))
}

/// One line for each path that ends.
///
/// Scripts count the lines with the word `pushed`: there is exactly one for each path that was.
struct Lines(Printer);

impl Reporter for Lines {
    fn report(&self, event: Event<'_>) {
        match line(&event) {
            Some(Line::Note(text)) => self.0.note(text),
            Some(Line::Warning(text)) => self.0.warning(text),
            None => {}
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Note(String),
    Warning(String),
}

/// What a log says of an event, if anything.
fn line(event: &Event<'_>) -> Option<Line> {
    match event {
        Event::Began(plan) if plan.uploads().is_empty() => None,
        Event::Began(plan) => {
            let (count, bytes) = (output::paths(plan.uploads().len()), size(plan.nar_bytes()));
            Some(Line::Note(format!("sending {count} ({bytes}) to {}", plan.cache())))
        }
        Event::Finished { path, nar_size, outcome: Outcome::Uploaded(uploaded) } => {
            Some(Line::Note(format!("pushed {path} ({})", share(*nar_size, uploaded))))
        }
        Event::Finished { path, outcome, .. } => Some(Line::Warning(bad_end(path, outcome))),
        Event::Waiting { path, failed, wait, error } => Some(Line::Warning(waiting(path, *failed, *wait, error))),
        Event::EndpointIgnored(endpoint) => Some(Line::Warning(ignored(endpoint))),
        Event::OtherVersion { theirs, ours } => Some(Line::Note(other_version(*theirs, *ours))),
        Event::Started { .. } | Event::Sent { .. } => None,
    }
}

/// Bars on a terminal: one for the whole, one for each large path under way. Lines only for what went wrong.
struct Bars {
    screen: MultiProgress,
    state: Mutex<BarState>,
}

#[derive(Default)]
struct BarState {
    whole: Option<ProgressBar>,
    paths: HashMap<StorePath, Under>,
}

/// A path under way.
#[derive(Default)]
struct Under {
    bar: Option<ProgressBar>,
    sent: u64,
}

impl Bars {
    fn new() -> Self {
        Self { screen: MultiProgress::new(), state: Mutex::default() }
    }

    fn bar(&self, bytes: u64, template: &str, message: String) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.screen.add(ProgressBar::new(bytes).with_style(style.progress_chars("━╸─")).with_message(message))
    }

    fn line(&self, text: &str) {
        // On a terminal that has gone away there is nothing to be done.
        let _ = self.screen.println(format!("warning: {text}"));
    }
}

impl Reporter for Bars {
    fn report(&self, event: Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let BarState { whole, paths } = &mut *state;
        match event {
            Event::Began(plan) if plan.uploads().is_empty() => {}
            Event::Began(plan) => {
                let template = "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
                let message = format!("{} to {}", output::paths(plan.uploads().len()), plan.cache());
                *whole = Some(self.bar(plan.nar_bytes(), template, message));
            }
            Event::Started { path, nar_size } => {
                // A second attempt takes back what the first had sent.
                if let (Some(under), Some(whole)) = (paths.remove(path), whole.as_ref()) {
                    whole.set_position(whole.position().saturating_sub(under.sent));
                    under.bar.inspect(ProgressBar::finish_and_clear);
                }
                let bar = (nar_size >= BAR_BYTES)
                    .then(|| self.bar(nar_size, "  {bar:20} {binary_bytes:>11} {msg}", path.name().to_string()));
                paths.insert(path.clone(), Under { bar, sent: 0 });
            }
            Event::Sent { path, bytes } => {
                whole.iter().for_each(|bar| bar.inc(bytes));
                if let Some(under) = paths.get_mut(path) {
                    under.sent += bytes;
                    under.bar.iter().for_each(|bar| bar.inc(bytes));
                }
            }
            Event::Waiting { path, failed, wait, error } => self.line(&waiting(path, failed, wait, error)),
            Event::Finished { path, nar_size, outcome } => {
                let sent = paths.remove(path).map_or(0, |under| {
                    under.bar.inspect(ProgressBar::finish_and_clear);
                    under.sent
                });
                // Whatever was not sent need not be any more.
                whole.iter().for_each(|bar| bar.inc(nar_size.saturating_sub(sent)));
                if !matches!(outcome, Outcome::Uploaded(_)) {
                    self.line(&bad_end(path, outcome));
                }
            }
            Event::EndpointIgnored(endpoint) => self.line(&ignored(endpoint)),
            Event::OtherVersion { theirs, ours } => self.line(&other_version(theirs, ours)),
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // A screen that cannot be cleared keeps its bars.
        let _ = self.screen.clear();
    }
}

fn share(nar_size: u64, uploaded: &Uploaded) -> String {
    let bytes = size(nar_size);
    match (uploaded.kind, uploaded.frac_deduplicated) {
        (UploadPathResultKind::Deduplicated, _) => format!("{bytes}, all of it known"),
        (UploadPathResultKind::Uploaded, Some(share)) if share > 0.0 => {
            format!("{bytes}, {:.0} % of it known", share * 100.0)
        }
        (UploadPathResultKind::Uploaded, _) => bytes,
    }
}

fn bad_end(path: &StorePath, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(error) => format!("{path} failed: {}", output::chain(error)),
        Outcome::NotTried(NotTried::Reference(reference)) => format!("{path} was not sent, since {reference} failed"),
        Outcome::NotTried(NotTried::GivenUp) => format!("{path} was not sent"),
        Outcome::Uploaded(_) => String::new(),
    }
}

fn waiting(path: &StorePath, failed: u32, wait: Duration, error: &dyn std::error::Error) -> String {
    let seconds = wait.as_secs_f64();
    format!("attempt {failed} at {path} failed, next in {seconds:.1} s: {}", output::chain(error))
}

fn ignored(endpoint: &str) -> String {
    format!("the server wants us at {endpoint:?}, which is not as safe as where we are; staying")
}

fn other_version(theirs: u32, ours: u32) -> String {
    format!("the server has version {theirs} of native push, and we have {ours}; sending as Attic does")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_scripts_count_stands_once_for_each_path() {
        let path: StorePath = "ab3li50xq0nl4q5lxdyinb8w8y13my9s-a".parse().unwrap();
        let finished = |kind, frac_deduplicated| {
            let outcome = Outcome::Uploaded(Uploaded { kind, file_size: None, frac_deduplicated });
            line(&Event::Finished { path: &path, nar_size: 2048, outcome: &outcome })
        };
        let note = |text: &str| Some(Line::Note(format!("pushed {path} ({text})")));
        assert_eq!(finished(UploadPathResultKind::Uploaded, None), note("2.0 KiB"));
        assert_eq!(finished(UploadPathResultKind::Uploaded, Some(0.25)), note("2.0 KiB, 25 % of it known"));
        assert_eq!(finished(UploadPathResultKind::Deduplicated, None), note("2.0 KiB, all of it known"));
        assert_eq!(line(&Event::Started { path: &path, nar_size: 1 }), None);

        let lost = Outcome::NotTried(NotTried::GivenUp);
        let Some(Line::Warning(text)) = line(&Event::Finished { path: &path, nar_size: 1, outcome: &lost }) else {
            panic!("a path that is not in the cache is worth a warning")
        };
        assert!(!text.contains("pushed"));
    }
}
