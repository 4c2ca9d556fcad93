//! Listing, a page at a time.

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use storage::{Key, Result};

use crate::bucket::S3Storage;

/// Whether a page has as many objects as it says: one that was cut off must not pass for the end of the list.
fn is_whole(page: &ListObjectsV2Output) -> bool {
    let told = page.key_count().and_then(|count| usize::try_from(count).ok());
    page.is_truncated().is_some() && told.is_none_or(|told| told == page.contents().len())
}

/// Where a list is.
enum Page {
    First,
    After(String),
    End,
}

impl S3Storage {
    pub(crate) fn list_objects(&self, prefix: &str) -> BoxStream<'_, Result<(Key, u64)>> {
        let prefix = format!("{}{prefix}", self.key_prefix());
        stream::try_unfold((Page::First, prefix), move |(page, prefix)| async move {
            let token = match page {
                Page::First => None,
                Page::After(token) => Some(token),
                Page::End => return Ok::<_, storage::Error>(None),
            };
            let bucket = &self.options().bucket;
            let ask = || {
                let ask = self.client().list_objects_v2().bucket(bucket).prefix(&prefix);
                ask.set_continuation_token(token.clone()).send()
            };
            let answer = self.request_until("ListObjectsV2", 0, ask, is_whole).await?;
            let found: Vec<Result<(Key, u64)>> = answer
                .contents()
                .iter()
                // What has no key of ours is not ours.
                .filter_map(|object| {
                    let key = object.key()?.strip_prefix(self.key_prefix())?.parse().ok()?;
                    Some(Ok((key, u64::try_from(object.size()?).ok()?)))
                })
                .collect();
            let next = match answer.next_continuation_token() {
                Some(token) if answer.is_truncated() == Some(true) => Page::After(token.to_owned()),
                _ => Page::End,
            };
            Ok(Some((stream::iter(found), (next, prefix))))
        })
        .try_flatten()
        .boxed()
    }
}
