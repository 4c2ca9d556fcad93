//! How a push is told: lines for people, an object for programs, an exit status for scripts.

use std::time::Duration;

use client::push::{NotTried, Outcome, PushPlan, PushReport, SkipReason, Survey, UploadError};
use formats::StoreDir;
use protocol::attic::UploadPathResultKind;
use serde_json::{Value, json};

use crate::{
    failure,
    output::{self, ExitStatus, Failure, paths, size},
};

/// One line for each path: whether it is sent, how large it is, how much of it is new, and why it is not sent.
pub(super) fn explain(plan: &PushPlan, survey: Option<&Survey>, mut line: impl FnMut(String)) {
    for (at, info) in plan.uploads().iter().enumerate() {
        let new = match survey.and_then(|survey| survey.new_bytes.get(at)) {
            None => String::new(),
            Some(Some(bytes)) => format!(", {} new to the cache", size(*bytes)),
            Some(None) => ", which cannot be read".to_owned(),
        };
        line(format!("send {} {}{new}", info.path, size(info.nar_size)));
    }
    for skipped in plan.skipped() {
        let why = match &skipped.reason {
            SkipReason::Cached => "the cache has it".to_owned(),
            SkipReason::Upstream(key) => format!("signed by {key}"),
            SkipReason::Excluded(pattern) => format!("excluded by {pattern}"),
        };
        line(format!("skip {} {} ({why})", skipped.path, size(skipped.nar_size)));
    }
}

/// The plan in one line.
pub(super) fn plan_line(plan: &PushPlan, survey: Option<&Survey>) -> String {
    let (count, bytes) = (paths(plan.uploads().len()), size(plan.nar_bytes()));
    let new = survey.map_or(String::new(), |survey| {
        format!(", {} of them new in {} of {} chunks", size(survey.total()), survey.new_chunks, survey.chunks)
    });
    format!("would send {count} ({bytes}{new}) to {}{}", plan.cache(), left_out(plan))
}

/// The plan as an object.
pub(super) fn plan_json(plan: &PushPlan, survey: Option<&Survey>, store_dir: &StoreDir) -> Value {
    let uploads: Vec<Value> = plan
        .uploads()
        .iter()
        .enumerate()
        .map(|(at, info)| {
            let mut upload = json!({"path": store_dir.join(&info.path), "nar_size": info.nar_size});
            if let Some(survey) = survey {
                upload["new_bytes"] = survey.new_bytes.get(at).copied().flatten().into();
            }
            upload
        })
        .collect();
    let skipped: Vec<Value> = plan
        .skipped()
        .iter()
        .map(|skipped| match &skipped.reason {
            SkipReason::Cached => json!({"path": store_dir.join(&skipped.path), "nar_size": skipped.nar_size, "reason": "cached"}),
            SkipReason::Upstream(key) => {
                json!({"path": store_dir.join(&skipped.path), "nar_size": skipped.nar_size, "reason": "upstream", "key": key.as_str()})
            }
            SkipReason::Excluded(pattern) => {
                json!({"path": store_dir.join(&skipped.path), "nar_size": skipped.nar_size, "reason": "excluded", "pattern": pattern.as_str()})
            }
        })
        .collect();
    let mut plan =
        json!({"cache": plan.cache(), "nar_bytes": plan.nar_bytes(), "uploads": uploads, "skipped": skipped});
    if let Some(survey) = survey {
        plan["new_bytes"] = survey.total().into();
        plan["chunks"] = survey.chunks.into();
        plan["new_chunks"] = survey.new_chunks.into();
    }
    plan
}

/// What came of it, in one line. The word by which scripts count paths is not in it.
pub(super) fn report_line(plan: &PushPlan, report: &PushReport, took: Duration) -> String {
    let sent = report.uploaded().count();
    let bytes: u64 = report.uploaded().map(|(result, _)| result.nar_size).sum();
    let bad = report.results.len() - sent;
    let failed = if bad == 0 { String::new() } else { format!(", {} not", paths(bad)) };
    let wire = report.transfer.wire_bytes;
    let saved = match bytes.saturating_sub(wire) {
        0 => String::new(),
        saved => format!(", {:.0} % saved", saved as f64 * 100.0 / bytes as f64),
    };
    let went = if wire == 0 || sent == 0 { String::new() } else { format!(" as {}{saved}", size(wire)) };
    format!(
        "sent {} ({}{went}) to {} in {:.1} s{failed}{}",
        paths(sent),
        size(bytes),
        plan.cache(),
        took.as_secs_f64(),
        left_out(plan)
    )
}

fn left_out(plan: &PushPlan) -> String {
    let mut text = String::new();
    if plan.cached_count() > 0 {
        text.push_str(&format!("; {} there already", paths(plan.cached_count())));
    }
    if plan.excluded_count() > 0 {
        text.push_str(&format!("; {} excluded", paths(plan.excluded_count())));
    }
    for (key, count) in plan.upstream_counts() {
        text.push_str(&format!("; {} left to upstream, signed by {key}", paths(count)));
    }
    text
}

/// What came of it, as an object.
pub(super) fn report_json(plan: &PushPlan, report: &PushReport, store_dir: &StoreDir, took: Duration) -> Value {
    let results: Vec<Value> = report
        .results
        .iter()
        .map(|result| {
            let mut value = json!({"path": store_dir.join(&result.path), "nar_size": result.nar_size});
            let more = match &result.outcome {
                Outcome::Uploaded(uploaded) => json!({
                    "outcome": match uploaded.kind {
                        UploadPathResultKind::Uploaded => "uploaded",
                        UploadPathResultKind::Deduplicated => "deduplicated",
                    },
                    "file_size": uploaded.file_size,
                    "frac_deduplicated": uploaded.frac_deduplicated,
                }),
                Outcome::Failed(error) => json!({"outcome": "failed", "error": output::chain(error)}),
                Outcome::NotTried(NotTried::Reference(path)) => {
                    json!({"outcome": "not-tried", "failed_reference": store_dir.join(path)})
                }
                Outcome::NotTried(NotTried::GivenUp) => json!({"outcome": "not-tried"}),
            };
            if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
                value.extend(more);
            }
            value
        })
        .collect();
    let upstream: serde_json::Map<String, Value> =
        plan.upstream_counts().into_iter().map(|(key, count)| (key.to_string(), count.into())).collect();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    json!({
        "cache": plan.cache(),
        "complete": report.is_complete(),
        "nar_bytes": report.uploaded().map(|(result, _)| result.nar_size).sum::<u64>(),
        "duration_ms": millis,
        "wire_bytes": report.transfer.wire_bytes,
        "requests": report.transfer.requests,
        "chunks": report.transfer.chunks,
        "chunks_sent": report.transfer.chunks_sent,
        "results": results,
        "skipped": {"cached": plan.cached_count(), "excluded": plan.excluded_count(), "upstream": upstream},
    })
}

/// How the program ends, if not well: what is wrong with the first path that failed, and whether others arrived.
pub(in crate::commands) fn failure(report: &PushReport) -> Option<Failure> {
    if report.is_complete() {
        return None;
    }
    let bad = report.results.len() - report.uploaded().count();
    // The error that ended the push says more than one that concerned a single path.
    let gravest = report.failures().max_by_key(|(_, error)| match error {
        UploadError::Api(error) if error.is_not_allowed() => 2,
        UploadError::Api(error) if error.is_unreachable() => 1,
        UploadError::Api(_) | UploadError::Read(_) | UploadError::Damaged { .. } => 0,
    });
    let mut failure = match gravest {
        Some((path, error)) => {
            let failure = failure::upload(error);
            let message = format!("{} could not be sent; {path}: {}", paths(bad), failure.message);
            Failure { message, ..failure }
        }
        None => Failure::new(ExitStatus::Failed, format!("{} could not be sent", paths(bad))),
    };
    if report.uploaded().next().is_some() {
        failure.status = ExitStatus::Partly;
    }
    Some(failure)
}

#[cfg(test)]
mod tests {
    use client::{
        api::ApiError,
        push::{Candidates, PathResult, Transfer, Uploaded, UpstreamFilter},
    };
    use formats::{NarHash, PathInfo};

    use super::*;

    fn info(name: &str, signer: Option<&str>) -> PathInfo {
        PathInfo {
            path: format!("ab3li50xq0nl4q5lxdyinb8w8y13my9{}-{name}", &name[..1]).parse().unwrap(),
            nar_hash: NarHash::digest_of(b""),
            nar_size: 1024,
            references: [].into(),
            deriver: None,
            signatures: signer
                .map(|name| format!("{name}:{}==", "A".repeat(86)).parse().unwrap())
                .into_iter()
                .collect(),
            ca: None,
        }
    }

    /// One path to send, one that the cache has, one that upstream has.
    fn plan() -> PushPlan {
        let infos = vec![info("a", None), info("b", None), info("c", Some("up-1"))];
        let missing = [*infos[0].path.hash()].into();
        Candidates::new(infos, &UpstreamFilter::Skip(["up-1".parse().unwrap()].into()))
            .decide("main".parse().unwrap(), &missing)
    }

    fn uploaded() -> Outcome {
        Outcome::Uploaded(Uploaded {
            kind: UploadPathResultKind::Uploaded,
            file_size: Some(7),
            frac_deduplicated: None,
        })
    }

    fn stalled() -> Outcome {
        let limit = Duration::from_secs(3);
        Outcome::Failed(UploadError::Api(ApiError::Stalled { url: "http://h/".parse().unwrap(), limit }))
    }

    fn report(outcomes: Vec<Outcome>) -> PushReport {
        let result = |outcome| PathResult { path: info("a", None).path, nar_size: 1024, outcome };
        let transfer = Transfer { requests: 4, wire_bytes: 256, chunks: 3, chunks_sent: 1 };
        PushReport { results: outcomes.into_iter().map(result).collect(), transfer }
    }

    #[test]
    fn every_path_is_explained() {
        let mut lines = Vec::new();
        explain(&plan(), None, |line| lines.push(line));
        assert_eq!(
            lines,
            [
                "send ab3li50xq0nl4q5lxdyinb8w8y13my9a-a 1.0 KiB",
                "skip ab3li50xq0nl4q5lxdyinb8w8y13my9b-b 1.0 KiB (the cache has it)",
                "skip ab3li50xq0nl4q5lxdyinb8w8y13my9c-c 1.0 KiB (signed by up-1)",
            ]
        );
        let line = "would send 1 path (1.0 KiB) to main; 1 path there already; 1 path left to upstream, signed by up-1";
        assert_eq!(plan_line(&plan(), None), line);
        let json = plan_json(&plan(), None, &StoreDir::default());
        assert_eq!(json["uploads"][0]["path"], "/nix/store/ab3li50xq0nl4q5lxdyinb8w8y13my9a-a");
        assert_eq!(
            json["skipped"][1],
            json!({
                "path": "/nix/store/ab3li50xq0nl4q5lxdyinb8w8y13my9c-c", "nar_size": 1024, "reason": "upstream", "key": "up-1",
            })
        );
    }

    #[test]
    fn a_survey_says_what_is_new() {
        let survey = Survey { new_bytes: vec![Some(300)], chunks: 5, new_chunks: 2, errors: Vec::new() };
        let mut lines = Vec::new();
        explain(&plan(), Some(&survey), |line| lines.push(line));
        assert_eq!(lines[0], "send ab3li50xq0nl4q5lxdyinb8w8y13my9a-a 1.0 KiB, 300 B new to the cache");
        let line = plan_line(&plan(), Some(&survey));
        assert!(line.starts_with("would send 1 path (1.0 KiB, 300 B of them new in 2 of 5 chunks) to main"), "{line}");
        let json = plan_json(&plan(), Some(&survey), &StoreDir::default());
        assert_eq!((&json["new_bytes"], &json["uploads"][0]["new_bytes"]), (&json!(300), &json!(300)));
    }

    #[test]
    fn the_summary_is_not_counted_as_a_path() {
        let took = Duration::from_millis(1234);
        let line = report_line(&plan(), &report(vec![uploaded(), stalled()]), took);
        let rest = "1 path there already; 1 path left to upstream, signed by up-1";
        assert_eq!(line, format!("sent 1 path (1.0 KiB as 256 B, 75 % saved) to main in 1.2 s, 1 path not; {rest}"));
        assert!(!line.contains("pushed"));
        let json = report_json(&plan(), &report(vec![uploaded()]), &StoreDir::default(), took);
        assert_eq!(
            (&json["complete"], &json["duration_ms"], &json["results"][0]["outcome"]),
            (&json!(true), &json!(1234), &json!("uploaded"))
        );
        assert_eq!(json["skipped"], json!({"cached": 1, "excluded": 0, "upstream": {"up-1": 1}}));
    }

    #[test]
    fn the_exit_status_tells_partly_from_not_at_all() {
        let status = |outcomes| failure(&report(outcomes)).map(|failure| failure.status);
        assert_eq!(status(vec![]), None);
        assert_eq!(status(vec![uploaded()]), None);
        assert_eq!(status(vec![uploaded(), stalled()]), Some(ExitStatus::Partly));
        assert_eq!(status(vec![stalled(), Outcome::NotTried(NotTried::GivenUp)]), Some(ExitStatus::Unreachable));
        let damaged = Outcome::Failed(UploadError::Api(ApiError::Token));
        assert_eq!(status(vec![damaged]), Some(ExitStatus::Failed));
    }
}
