SELECT id, revision, surface, url, manifest_digest, exported_by, created_at FROM receipt
WHERE tag_id = $1
ORDER BY id DESC
LIMIT 1000
