INSERT INTO cache (name, is_public, store_dir, priority, upstream_key_names, retention, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (name) WHERE deleted_at IS NULL DO NOTHING
RETURNING id
