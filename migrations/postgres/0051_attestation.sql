-- What others attest about a claim, each as it was sent.
CREATE TABLE attestation (
    claim_id BIGINT NOT NULL REFERENCES claim (id) ON DELETE CASCADE,
    digest BYTEA NOT NULL, -- SHA-256 of the envelope
    envelope TEXT NOT NULL, -- JSON
    sent_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (claim_id, digest)
);
