-- What others attest about a claim, each as it was sent.
CREATE TABLE attestation (
    claim_id INTEGER NOT NULL REFERENCES claim (id) ON DELETE CASCADE,
    digest BLOB NOT NULL, -- SHA-256 of the envelope
    envelope TEXT NOT NULL, -- JSON
    sent_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (claim_id, digest)
) STRICT, WITHOUT ROWID;
