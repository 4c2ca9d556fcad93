//! Pushes store paths and administers caches.
