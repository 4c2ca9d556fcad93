//! Lifecycle rules of the bucket: some would delete what we store.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule, TransitionStorageClass};

use crate::{S3Error, bucket::S3Storage};

/// A rule that takes objects away after a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiryRule {
    /// Its name, if it has one.
    pub id: String,
    /// The prefix of the keys that it is for.
    pub prefix: String,
    /// What it does.
    pub action: String,
}

impl S3Storage {
    /// The rules that would take away objects under `prefix`; `None` if the service does not tell.
    ///
    /// # Errors
    /// If the service cannot be asked.
    pub async fn expiry_rules(&self, prefix: &str) -> Result<Option<Vec<ExpiryRule>>, S3Error> {
        let bucket = &self.options().bucket;
        let ask = || self.client().get_bucket_lifecycle_configuration().bucket(bucket).send();
        match self.request("GetBucketLifecycleConfiguration", 0, ask).await {
            Ok(answer) => {
                let ours = format!("{}{prefix}", self.key_prefix());
                Ok(Some(answer.rules().iter().filter_map(|rule| expires(rule, &ours)).collect()))
            }
            Err(S3Error::Unexpected { code, .. }) if code == "NoSuchLifecycleConfiguration" => Ok(Some(Vec::new())),
            // Nothing to ask, or not for us to ask.
            Err(S3Error::Failed { status: 501, .. } | S3Error::Unexpected { .. } | S3Error::AccessDenied { .. }) => {
                Ok(None)
            }
            Err(S3Error::NoSuchKey) => Ok(Some(Vec::new())),
            Err(error) => Err(error),
        }
    }
}

/// What the rule does to objects under `ours`, if it takes any of them away.
fn expires(rule: &LifecycleRule, ours: &str) -> Option<ExpiryRule> {
    if *rule.status() != ExpirationStatus::Enabled {
        return None;
    }
    let filter = rule.filter();
    let both = filter.and_then(|filter| filter.and());
    // Our objects have no tags.
    if filter.is_some_and(|filter| filter.tag().is_some()) || both.is_some_and(|both| !both.tags().is_empty()) {
        return None;
    }
    #[expect(deprecated, reason = "old rules have their prefix here")]
    let old = rule.prefix();
    let prefix = filter.and_then(|filter| filter.prefix()).or(both.and_then(|both| both.prefix())).or(old);
    let prefix = prefix.unwrap_or_default();
    if !ours.starts_with(prefix) && !prefix.starts_with(ours) {
        return None;
    }
    let by_age = rule.expiration().and_then(|expiration| match (expiration.days(), expiration.date()) {
        (Some(days), _) => Some(format!("deletes after {days} days")),
        (None, Some(date)) => Some(format!("deletes on {date:?}")),
        (None, None) => None,
    });
    let archive = |class: &TransitionStorageClass| {
        matches!(class, TransitionStorageClass::Glacier | TransitionStorageClass::DeepArchive)
    };
    let moved = || {
        let mut classes = rule.transitions().iter().filter_map(|transition| transition.storage_class());
        classes
            .find(|class| archive(class))
            .map(|class| format!("moves to {}, from where nothing is read", class.as_str()))
    };
    let action = by_age.or_else(moved)?;
    Some(ExpiryRule { id: rule.id().unwrap_or("without a name").to_owned(), prefix: prefix.to_owned(), action })
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleExpiration, LifecycleRuleFilter, Tag, Transition};

    use super::*;

    fn rule(prefix: &str) -> aws_sdk_s3::types::builders::LifecycleRuleBuilder {
        LifecycleRule::builder()
            .id("r")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
            .expiration(LifecycleExpiration::builder().days(30).build())
    }

    #[test]
    fn rules_that_touch_our_keys_are_found() {
        for (prefix, ours, found) in [
            ("", "packs/", true),
            ("pa", "packs/", true),
            ("packs/00", "packs/", true),
            ("nar/", "packs/", false),
            ("chunks/", "packs/", false),
            ("tenant/", "tenant/packs/", true),
            ("other/", "tenant/packs/", false),
        ] {
            let rule = rule(prefix).build().unwrap();
            assert_eq!(expires(&rule, ours).is_some(), found, "{prefix} {ours}");
        }
        let found = expires(&rule("").build().unwrap(), "packs/").unwrap();
        assert_eq!(found.action, "deletes after 30 days");
    }

    #[test]
    fn rules_that_take_nothing_of_ours_away_are_not() {
        assert_eq!(expires(&rule("").status(ExpirationStatus::Disabled).build().unwrap(), "packs/"), None);
        let tag = Tag::builder().key("k").value("v").build().unwrap();
        let tagged = rule("").filter(LifecycleRuleFilter::builder().tag(tag).build()).build().unwrap();
        assert_eq!(expires(&tagged, "packs/"), None);
        let markers = LifecycleExpiration::builder().expired_object_delete_marker(true).build();
        assert_eq!(expires(&rule("").expiration(markers).build().unwrap(), "packs/"), None);
        let cheaper = |class| {
            let moved = Transition::builder().days(1).storage_class(class).build();
            rule("").expiration(LifecycleExpiration::builder().build()).transitions(moved).build().unwrap()
        };
        assert_eq!(expires(&cheaper(TransitionStorageClass::StandardIa), "packs/"), None);
        assert!(expires(&cheaper(TransitionStorageClass::DeepArchive), "packs/").is_some());
    }
}
