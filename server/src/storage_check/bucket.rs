//! What only a bucket can be asked.

use bytes::Bytes;
use futures::future::join_all;
use s3::{Probe, S3Storage};
use storage::{Error, Storage};

use super::{Finding, Place, checked};
use crate::run::ROOTS;

/// How many writers try to be the first.
const RIVALS: usize = 16;

/// Runs the checks that only a bucket can be put to.
pub async fn check(bucket: &S3Storage, place: &Place) -> Vec<Finding> {
    vec![
        checked("lifecycle rules", lifecycle(bucket)).await,
        checked("checksums", checksums(bucket, place)).await,
        checked("conditional writes", conditional(bucket, place)).await,
    ]
}

async fn lifecycle(bucket: &S3Storage) -> Result<Finding, Error> {
    const CHECK: &str = "lifecycle rules";
    for root in ROOTS {
        match bucket.expiry_rules(root).await? {
            None => {
                return Ok(Finding::note(
                    CHECK,
                    "the bucket does not tell them to these credentials, or has none to tell",
                ));
            }
            Some(rules) => {
                if let Some(rule) = rules.first() {
                    let told = format!(
                        "the rule {:?} (prefix {:?}) {} what is stored here",
                        rule.id, rule.prefix, rule.action
                    );
                    return Ok(Finding::bad(CHECK, told));
                }
            }
        }
    }
    Ok(Finding::good(CHECK, "none that takes away what is stored here"))
}

async fn checksums(bucket: &S3Storage, place: &Place) -> Result<Finding, Error> {
    const CHECK: &str = "checksums";
    let key = place.key("checksums");
    if bucket.probe(&key, Probe::WrongMd5).await? {
        return Ok(Finding::bad(CHECK, "an object with a wrong MD5 is taken: damage on the way would be stored"));
    }
    let (right, wrong) = (bucket.probe(&key, Probe::Crc32).await?, bucket.probe(&key, Probe::WrongCrc32).await?);
    Ok(match (right, wrong) {
        (true, false) => Finding::good(CHECK, "a wrong MD5 is refused, and so is a wrong CRC-32"),
        (true, true) => Finding::note(CHECK, "a wrong MD5 is refused; a wrong CRC-32 is not (none is sent)"),
        (false, _) => Finding::note(CHECK, "a wrong MD5 is refused; CRC-32 is not understood (none is sent)"),
    })
}

async fn conditional(bucket: &S3Storage, place: &Place) -> Result<Finding, Error> {
    const CHECK: &str = "conditional writes";
    let taken = place.key("taken");
    bucket.put(&taken, Bytes::from_static(b"first")).await?;
    if bucket.probe(&taken, Probe::IfAbsent).await? {
        return Ok(Finding::note(
            CHECK,
            "If-None-Match is ignored: the object is overwritten (nothing here relies on it)",
        ));
    }
    let free = place.key("free");
    let rivals = join_all((0..RIVALS).map(|_| bucket.probe(&free, Probe::IfAbsent))).await;
    let winners = rivals.into_iter().collect::<Result<Vec<bool>, _>>()?.into_iter().filter(|&won| won).count();
    Ok(match winners {
        1 => Finding::good(CHECK, format!("If-None-Match is heeded, and one of {RIVALS} at once wins")),
        _ => Finding::note(
            CHECK,
            format!("If-None-Match is heeded, but {winners} of {RIVALS} at once win (nothing here relies on it)"),
        ),
    })
}
