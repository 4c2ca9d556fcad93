-- What is asked of claims to a cache, where an admin has said so. Rows are added and never changed; the one with the highest number
-- counts.
CREATE TABLE promotion_policy (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    rules TEXT, -- JSON; NULL: what the server asks of all caches
    set_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX promotion_policy_by_number ON promotion_policy (cache_id, number);
