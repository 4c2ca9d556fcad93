//! `cache list` and `cache info`

use database::{Cache, Database};
use protocol::CacheName;

use super::{Failure, Output};

/// One line per cache.
pub(super) async fn list(database: &dyn Database, output: &mut Output<'_>) -> Result<(), Failure> {
    for cache in database.list_caches().await? {
        writeln!(output.data, "{}\t{}\tpriority {}", cache.name, visibility(&cache), cache.priority)?;
    }
    Ok(())
}

/// One line per setting; scripts look for `Public Key:` at the beginning of a line.
pub(super) async fn info(name: &CacheName, database: &dyn Database, output: &mut Output<'_>) -> Result<(), Failure> {
    let Some(cache) = database.find_cache(name).await? else {
        return Err(
            Failure::failed(format!("there is no cache {name}")).hint("`cache list` shows those that there are")
        );
    };
    public_keys(&cache, output)?;
    writeln!(output.data, "Visibility: {}", visibility(&cache))?;
    writeln!(output.data, "Store Directory: {}", cache.store_dir)?;
    writeln!(output.data, "Priority: {}", cache.priority)?;
    let upstream: Vec<&str> = cache.upstream_key_names.iter().map(formats::KeyName::as_str).collect();
    writeln!(output.data, "Upstream Cache Keys: {}", upstream.join(" "))?;
    match cache.retention {
        None => writeln!(output.data, "Retention: as configured")?,
        Some(0) => writeln!(output.data, "Retention: for ever")?,
        Some(seconds) => {
            let period = std::time::Duration::from_secs(seconds.into());
            writeln!(output.data, "Retention: {}", humantime::format_duration(period))?;
        }
    }
    Ok(())
}

pub(super) fn public_keys(cache: &Cache, output: &mut Output<'_>) -> Result<(), Failure> {
    for key in &cache.keys {
        writeln!(output.data, "Public Key: {}", key.public_key())?;
    }
    Ok(())
}

pub(super) const fn visibility(cache: &Cache) -> &'static str {
    if cache.is_public { "public" } else { "private" }
}
