SELECT id, cache_name, path, removed_at FROM removal ORDER BY id LIMIT $1
