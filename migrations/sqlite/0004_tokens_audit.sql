-- Which tokens were made here, which are revoked, and who did what.

CREATE TABLE token (
    id TEXT NOT NULL PRIMARY KEY, -- the token's jti
    subject TEXT NOT NULL,
    grants TEXT NOT NULL, -- JSON, as in the token: {"<claim>": {"caches": {…}}, …}
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    minted_by TEXT NOT NULL,
    parent TEXT, -- the jti of the token that it was made with
    proof BLOB, -- SHA-256 that names the identity token it was exchanged for, if that is good for one exchange only
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX token_by_expiry ON token (expires_at, id);
CREATE INDEX token_by_subject ON token (subject, expires_at, id);
CREATE UNIQUE INDEX token_by_proof ON token (proof) WHERE proof IS NOT NULL;

-- Tokens that were made elsewhere have no row, and perhaps no jti: they are revoked by whom they were made for. Those made
-- up to that time, or at a time that they do not tell, are not good any more.
CREATE TABLE revoked_subject (
    subject TEXT NOT NULL PRIMARY KEY,
    made_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was done by those who may do more than push and pull. Rows are added, and forgotten when they are old; never changed.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    subject TEXT NOT NULL,
    token TEXT, -- the jti
    address TEXT, -- NULL if it was done on the server's own command line
    act TEXT NOT NULL,
    cache TEXT, -- its name: rows outlive caches
    object TEXT,
    outcome TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX audit_by_time ON audit (at, id);
CREATE INDEX audit_by_cache ON audit (cache, at, id);
