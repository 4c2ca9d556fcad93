//! The log: text for people, JSON for collectors.
//!
//! `RUST_LOG` says what is logged, `info` if it is not set. In JSON the fields of an event stand beside `timestamp`, `level`,
//! `target` and `message`, so that a request's line has `method`, `path`, `status` and `duration_ms` at the top; fields of
//! the span around it are under `span`.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, util::SubscriberInitExt};

use crate::config::LogFormat;

/// What is logged when nobody says.
const DEFAULT_FILTER: &str = "info";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` cannot be read.
    #[error("RUST_LOG is malformed")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process logs already.
    #[error("the log is set up already")]
    SetUpAlready(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends the process's log to standard error; `filter` is what `RUST_LOG` says.
///
/// # Errors
/// If the filter is malformed, or the process logs already.
pub fn install(format: LogFormat, filter: Option<&str>) -> Result<(), TelemetryError> {
    match format {
        LogFormat::Text => text(filter, io::stderr().is_terminal(), io::stderr)?.try_init()?,
        LogFormat::Json => json(filter, io::stderr)?.try_init()?,
    }
    Ok(())
}

fn env_filter(filter: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    Ok(EnvFilter::builder().parse(filter.unwrap_or(DEFAULT_FILTER))?)
}

fn text<W>(filter: Option<&str>, colour: bool, writer: W) -> Result<impl Subscriber + Send + Sync, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(env_filter(filter)?);
    Ok(builder.with_target(false).with_ansi(colour).with_writer(writer).finish())
}

fn json<W>(filter: Option<&str>, writer: W) -> Result<impl Subscriber + Send + Sync, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(env_filter(filter)?).json();
    Ok(builder.flatten_event(true).with_current_span(true).with_span_list(false).with_writer(writer).finish())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use tracing::{info, info_span, subscriber::with_default, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer(log: &Log) -> impl Fn() -> Log + Send + Sync + use<> {
        let log = log.clone();
        move || log.clone()
    }

    #[test]
    fn json_has_the_fields_that_collectors_parse() {
        let log = Log::default();
        with_default(json(None, writer(&log)).unwrap(), || {
            let _span = info_span!("request", request_id = "r1").entered();
            info!(method = "GET", path = "/main/nix-cache-info", status = 200, duration_ms = 1.5, "request");
        });
        let line: serde_json::Value = serde_json::from_str(&log.lines()[0]).unwrap();
        let expected = [
            ("level", serde_json::json!("INFO")),
            ("method", serde_json::json!("GET")),
            ("path", serde_json::json!("/main/nix-cache-info")),
            ("status", serde_json::json!(200)),
            ("duration_ms", serde_json::json!(1.5)),
            ("message", serde_json::json!("request")),
        ];
        for (field, value) in expected {
            assert_eq!(line[field], value, "{line}");
        }
        assert_eq!(line["span"]["request_id"], "r1", "{line}");
        assert!(line["timestamp"].is_string(), "{line}");
    }

    #[test]
    fn the_filter_is_rust_logs_or_info() {
        let lines = |filter: Option<&str>| {
            let log = Log::default();
            with_default(text(filter, false, writer(&log)).unwrap(), || {
                info!("heard");
                warn!("loud");
                tracing::debug!("whispered");
            });
            log.lines().len()
        };
        assert_eq!(lines(None), 2);
        assert_eq!(lines(Some("warn")), 1);
        assert_eq!(lines(Some("debug")), 3);
        assert_eq!(lines(Some("off")), 0);
        assert!(matches!(text(Some("a=b=c"), false, io::sink), Err(TelemetryError::Filter(_))));
    }
}
