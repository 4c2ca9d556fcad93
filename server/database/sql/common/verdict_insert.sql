INSERT INTO verdict (claim_id, policy_digest, manifest_digest, is_clean, report, manifest, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (claim_id, policy_digest, manifest_digest, is_clean) DO NOTHING
RETURNING id AS "id!: i64"
