-- Collection: what goes, when, and what keeps it.
--
-- Whatever is to be removed is first condemned, which is a time in its row. It is served as before until a later round finds
-- it unused still and condemned for long enough. Being used clears the time.

-- Who does a background chore. One holder at a time, until a time that it moves on while it works.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When a chore last ran to its end, and what it did, for every replica to show.
CREATE TABLE chore_run (
    name TEXT PRIMARY KEY,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    report TEXT NOT NULL -- JSON
) STRICT, WITHOUT ROWID;

ALTER TABLE path ADD COLUMN condemned_at INTEGER;
CREATE INDEX path_condemned ON path (cache_id, hash) WHERE condemned_at IS NOT NULL;

ALTER TABLE chunk ADD COLUMN condemned_at INTEGER;
CREATE INDEX chunk_condemned ON chunk (id) WHERE condemned_at IS NOT NULL;

CREATE INDEX chunk_damaged ON chunk (id) WHERE damaged_at IS NOT NULL;

-- How much of a pack was in use, in bytes, when it was last looked at and left as it was.
ALTER TABLE pack ADD COLUMN examined_live INTEGER;

-- The last rows that there were at some time: chunks and packs have no time of their own, but their ids ascend.
CREATE TABLE watermark (
    at INTEGER PRIMARY KEY,
    chunk_id INTEGER NOT NULL,
    pack_id INTEGER NOT NULL
) STRICT;

-- A path that is kept with everything it refers to. A name has as many revisions as whoever pinned it wants to keep.
CREATE TABLE pin (
    cache_id INTEGER NOT NULL REFERENCES cache (id),
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    hash BLOB NOT NULL,
    path TEXT NOT NULL, -- base name
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    pinned_by TEXT,
    PRIMARY KEY (cache_id, name, revision)
) STRICT, WITHOUT ROWID;

-- What a cache may hold. No row is no limit.
CREATE TABLE cache_limit (
    cache_id INTEGER PRIMARY KEY REFERENCES cache (id),
    max_size INTEGER, -- beyond it the least recently used go
    quota INTEGER, -- beyond it pushes are refused
    is_read_only INTEGER NOT NULL CHECK (is_read_only IN (0, 1))
) STRICT;

-- Objects of the storage that no row of pack names: packs whose frames are gone or elsewhere, and objects that nobody knows.
-- A commit may name one that was only seen, since its pack may just have been written; it may not name one that is doomed.
CREATE TABLE grave (
    name BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    doomed_at INTEGER, -- the object goes some time after this
    gone_at INTEGER -- the object was removed; the row is forgotten some time after this
) STRICT, WITHOUT ROWID;

-- Paths that are gone from the index, to be written to the storage so that an index made anew lacks them too.
CREATE TABLE removal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cache_name TEXT NOT NULL,
    path TEXT NOT NULL, -- base name
    removed_at INTEGER NOT NULL
) STRICT;
