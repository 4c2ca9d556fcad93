INSERT INTO receipt (id, tag_id, revision, surface, url, manifest_digest, exported_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO NOTHING
