-- What going through the index remembers: how far the scrub has come, the figures of each day, hits and misses.

CREATE TABLE scrub (
    id BIGINT PRIMARY KEY CHECK (id = 1), -- one row
    after_pack BIGINT NOT NULL,
    after_nar BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    read_bytes BIGINT NOT NULL,
    found BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    last_found BIGINT NOT NULL
);

CREATE TABLE census (
    day BIGINT PRIMARY KEY, -- days since 1970
    taken_at BIGINT NOT NULL,
    figures TEXT NOT NULL -- JSON
);

CREATE TABLE traffic (
    day BIGINT NOT NULL, -- days since 1970
    cache_id BIGINT NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    hits BIGINT NOT NULL,
    misses BIGINT NOT NULL,
    PRIMARY KEY (day, cache_id)
);
CREATE INDEX traffic_by_cache ON traffic (cache_id);
