INSERT INTO cache_key (cache_id, position, secret) VALUES ($1, $2, $3)
