-- Promotion: what builders claim, what was found, which tags point at it, and what left.
--
-- All of it goes with the cache that it is about.

-- A claim. What it says and by whom never changes; where it stands does.
CREATE TABLE claim (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    digest BLOB NOT NULL, -- SHA-256 of body and builder: the same claim is filed once
    body TEXT NOT NULL, -- JSON
    builder TEXT NOT NULL, -- JSON
    state TEXT NOT NULL,
    reason TEXT,
    report TEXT, -- JSON: what was found last
    filed_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER, -- when it is to be verified; NULL if nothing is to be done
    leased_until INTEGER NOT NULL, -- until when somebody verifies it
    progress TEXT -- JSON
) STRICT;
CREATE UNIQUE INDEX claim_by_digest ON claim (cache_id, digest);
CREATE INDEX claim_due ON claim (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE claim_output (
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    claim_id INTEGER NOT NULL REFERENCES claim (id) ON DELETE CASCADE,
    PRIMARY KEY (cache_id, hash, claim_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_output_by_claim ON claim_output (claim_id);

-- What was found of a claim, once, under one policy and for one closure. Never changed.
CREATE TABLE verdict (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    claim_id INTEGER NOT NULL REFERENCES claim (id) ON DELETE CASCADE,
    policy_digest BLOB NOT NULL,
    manifest_digest BLOB NOT NULL,
    is_clean INTEGER NOT NULL CHECK (is_clean IN (0, 1)),
    report TEXT NOT NULL, -- JSON
    manifest TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX verdict_by_claim ON verdict (claim_id, policy_digest, manifest_digest);

-- Which NAR a builder saw of a path.
CREATE TABLE observation (
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    builder TEXT NOT NULL,
    nar_hash BLOB NOT NULL,
    path TEXT NOT NULL, -- base name
    created_at INTEGER NOT NULL,
    PRIMARY KEY (cache_id, hash, builder, nar_hash)
) STRICT, WITHOUT ROWID;

-- How a disagreement was settled: what was seen of other NARs up to then no longer counts.
CREATE TABLE resolution (
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    nar_hash BLOB NOT NULL,
    reason TEXT NOT NULL,
    resolved_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (cache_id, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE tag (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    visibility TEXT NOT NULL,
    current_id INTEGER, -- the revision that it points at
    last_number INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tag_by_name ON tag (cache_id, name);

-- The history of a tag. Rows are added; of a row only its state changes.
CREATE TABLE revision (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tag_id INTEGER NOT NULL REFERENCES tag (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    body TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX revision_by_number ON revision (tag_id, number);

-- The closures of the revisions that are kept: what their views show, and what collection must not touch.
CREATE TABLE promoted (
    revision_id INTEGER NOT NULL REFERENCES revision (id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    claim_id INTEGER NOT NULL REFERENCES claim (id) ON DELETE CASCADE,
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    nar_hash BLOB NOT NULL,
    PRIMARY KEY (revision_id, hash, claim_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX promoted_by_path ON promoted (cache_id, hash);
CREATE INDEX promoted_by_claim ON promoted (claim_id);

CREATE TABLE promotion_key (
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    position INTEGER NOT NULL, -- 0 is the newest
    secret TEXT NOT NULL,
    PRIMARY KEY (cache_id, position)
) STRICT, WITHOUT ROWID;

-- What left, where to.
CREATE TABLE receipt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tag_id INTEGER NOT NULL REFERENCES tag (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    surface TEXT NOT NULL,
    url TEXT,
    manifest_digest BLOB NOT NULL,
    exported_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX receipt_by_tag ON receipt (tag_id, id);
