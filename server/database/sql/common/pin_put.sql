INSERT INTO pin (cache_id, name, revision, hash, path, created_at, expires_at, pinned_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (cache_id, name, revision) DO UPDATE
SET created_at = excluded.created_at, expires_at = excluded.expires_at, pinned_by = excluded.pinned_by
