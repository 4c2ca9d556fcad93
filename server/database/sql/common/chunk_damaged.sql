SELECT id FROM chunk WHERE damaged_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2
