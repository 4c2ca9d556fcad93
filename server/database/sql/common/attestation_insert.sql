INSERT INTO attestation (claim_id, digest, envelope, sent_by, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (claim_id, digest) DO NOTHING
