-- What going through the index remembers: how far the scrub has come, the figures of each day, hits and misses.

CREATE TABLE scrub (
    id INTEGER PRIMARY KEY CHECK (id = 1), -- one row
    after_pack INTEGER NOT NULL,
    after_nar INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    read_bytes INTEGER NOT NULL,
    found INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    last_found INTEGER NOT NULL
) STRICT;

CREATE TABLE census (
    day INTEGER PRIMARY KEY, -- days since 1970
    taken_at INTEGER NOT NULL,
    figures TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE traffic (
    day INTEGER NOT NULL, -- days since 1970
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    hits INTEGER NOT NULL,
    misses INTEGER NOT NULL,
    PRIMARY KEY (day, cache_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX traffic_by_cache ON traffic (cache_id);
