SELECT id, stored_size, size FROM chunk WHERE id > $1 AND damaged_at IS NULL ORDER BY id LIMIT $2
