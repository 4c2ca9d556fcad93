INSERT INTO claim_output (cache_id, hash, claim_id) VALUES ($1, $2, $3)
ON CONFLICT (cache_id, hash, claim_id) DO NOTHING
