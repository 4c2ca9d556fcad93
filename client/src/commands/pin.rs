//! `pin add`, `list` and `remove`

use protocol::keep::PinRequest;

use crate::{
    cli::Pin,
    environment::Environment,
    failure,
    output::{Failure, Printer},
    target::Target,
};

pub(super) async fn run(pin: Pin, environment: &Environment, printer: Printer) -> Result<(), Failure> {
    match pin {
        Pin::Add { cache, name, path, keep_revisions, ttl } => {
            let target = Target::find(Some(&cache), environment)?;
            // A link such as ./result stands for what it points to.
            let path = std::fs::canonicalize(&path).map_or(path, |found| found.to_string_lossy().into_owned());
            let ttl_seconds = ttl.map(|ttl| u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX));
            let request = PinRequest { store_path: path, keep_revisions, ttl_seconds };
            let added = target.api(|_| {})?.add_pin(&target.cache, &name, &request).await;
            let added = added.map_err(|error| failure::api_about(&target, &error))?;
            printer.note(format_args!(
                "pinned {} as {} (revision {}) in {target}",
                added.path, added.name, added.revision
            ));
        }
        Pin::List { cache, json } => {
            let target = Target::find(cache.as_deref(), environment)?;
            let list = target.api(|_| {})?.list_pins(&target.cache).await;
            let list = list.map_err(|error| failure::api_about(&target, &error))?;
            if json {
                printer.data(serde_json::to_string(&list).unwrap_or_default());
                return Ok(());
            }
            for pin in list.pins {
                let until = pin.expires_at.map_or_else(
                    || "for ever".to_owned(),
                    |at| {
                        let since = std::time::Duration::from_secs(u64::try_from(at.0).unwrap_or(0));
                        format!("until {}", humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since))
                    },
                );
                printer.data(format_args!("{}\t{}\t{}\t{until}", pin.name, pin.revision, pin.path));
            }
        }
        Pin::Remove { cache, name, revision } => {
            let target = Target::find(Some(&cache), environment)?;
            let removed = target.api(|_| {})?.remove_pin(&target.cache, &name, revision).await;
            removed.map_err(|error| failure::api_about(&target, &error))?;
            printer.note(format_args!("removed the pin {name} from {target}"));
        }
    }
    Ok(())
}
