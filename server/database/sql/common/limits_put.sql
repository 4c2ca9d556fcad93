INSERT INTO cache_limit (cache_id, max_size, quota, is_read_only) VALUES ($1, $2, $3, $4)
ON CONFLICT (cache_id) DO UPDATE
SET max_size = excluded.max_size, quota = excluded.quota, is_read_only = excluded.is_read_only
