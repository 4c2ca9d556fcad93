//! `/_api/v1/…`: Attic's API, as its stock client speaks it.

mod cache_config;
mod get_missing_paths;
mod upload_path;
