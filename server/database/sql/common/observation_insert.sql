INSERT INTO observation (cache_id, hash, builder, nar_hash, path, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (cache_id, hash, builder, nar_hash) DO NOTHING
