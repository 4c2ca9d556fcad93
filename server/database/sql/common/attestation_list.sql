SELECT envelope, sent_by, created_at FROM attestation
WHERE claim_id = $1
ORDER BY created_at, digest
