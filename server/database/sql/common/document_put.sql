INSERT INTO document (cache_id, kind, name, manifest, size, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (cache_id, kind, name) DO UPDATE
SET manifest = excluded.manifest, size = excluded.size, created_at = excluded.created_at
