INSERT INTO promotion_key (cache_id, position, secret) VALUES ($1, $2, $3)
ON CONFLICT (cache_id, position) DO NOTHING
