-- The index: what is stored where, and which paths a cache shows.
--
-- migrations/postgres has the same numbers, names and columns. Hashes are BLOBs of their bytes, sizes are bytes, times are
-- whole seconds since 1970, flags are 0 or 1. Ids are AUTOINCREMENT: an id that was once given out must never come to
-- mean another row, since manifests and uploads in flight remember ids.

CREATE TABLE cache (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    is_public INTEGER NOT NULL CHECK (is_public IN (0, 1)),
    store_dir TEXT NOT NULL,
    priority INTEGER NOT NULL,
    upstream_key_names TEXT NOT NULL, -- separated by spaces
    retention INTEGER, -- seconds; 0 is for ever, NULL as the configuration says
    created_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
-- A deleted cache frees its name; its row stays until nothing refers to it.
CREATE UNIQUE INDEX cache_by_name ON cache (name) WHERE deleted_at IS NULL;

CREATE TABLE cache_key (
    cache_id INTEGER NOT NULL REFERENCES cache (id),
    position INTEGER NOT NULL, -- 0 is the newest
    secret TEXT NOT NULL,
    PRIMARY KEY (cache_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE pack (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL
) STRICT;

CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL,
    pack_id INTEGER NOT NULL REFERENCES pack (id),
    pack_offset INTEGER NOT NULL,
    stored_size INTEGER NOT NULL,
    size INTEGER NOT NULL,
    check_sum INTEGER NOT NULL, -- CRC-32C of the stored bytes
    damaged_at INTEGER
) STRICT;
-- A damaged chunk frees its name, so that the same bytes can be stored anew.
CREATE UNIQUE INDEX chunk_by_hash ON chunk (hash) WHERE damaged_at IS NULL;
CREATE INDEX chunk_by_pack ON chunk (pack_id);

CREATE TABLE nar (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    file_hash BLOB NOT NULL,
    file_size INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    quarantined_at INTEGER,
    -- Last, since they are long: a narinfo reads the columns before them only, and so no overflow page.
    manifest BLOB NOT NULL,
    listing BLOB
) STRICT;
CREATE INDEX nar_by_file_hash ON nar (file_hash);
-- Quarantine is rare, and asked for by itself.
CREATE INDEX nar_in_quarantine ON nar (id) WHERE quarantined_at IS NOT NULL;

-- Not WITHOUT ROWID: rows are long and hashes random, so a narrow index over a table that only grows at its end beats a
-- wide tree with inserts all over it.
CREATE TABLE path (
    cache_id INTEGER NOT NULL REFERENCES cache (id),
    hash BLOB NOT NULL,
    nar_id INTEGER NOT NULL REFERENCES nar (id),
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    name TEXT NOT NULL,
    refs TEXT NOT NULL, -- base names, separated by spaces
    deriver TEXT,
    ca TEXT,
    signatures TEXT NOT NULL, -- separated by spaces
    extra TEXT NOT NULL, -- JSON: [[key, value], …]
    pushed_by TEXT,
    PRIMARY KEY (cache_id, hash)
) STRICT;
CREATE INDEX path_by_nar ON path (nar_id, cache_id);

-- NARs that came by plain PUT, until their narinfos follow.
CREATE TABLE upload (
    cache_id INTEGER NOT NULL REFERENCES cache (id),
    file_name TEXT NOT NULL,
    nar_id INTEGER NOT NULL REFERENCES nar (id),
    file_hash BLOB NOT NULL,
    file_size INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (cache_id, file_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_by_nar ON upload (nar_id);

CREATE TABLE document (
    cache_id INTEGER NOT NULL REFERENCES cache (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    manifest BLOB NOT NULL,
    size INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (cache_id, kind, name)
) STRICT, WITHOUT ROWID;
