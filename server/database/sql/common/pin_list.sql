SELECT name, revision, path, created_at, expires_at, pinned_by
FROM pin
WHERE cache_id = $1 AND (expires_at IS NULL OR expires_at > $2)
ORDER BY name, revision
