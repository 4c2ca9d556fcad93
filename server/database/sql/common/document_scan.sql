SELECT cache_id, kind, name, created_at, manifest
FROM document
WHERE (cache_id, kind, name) > ($1, $2, $3)
ORDER BY cache_id, kind, name
LIMIT $4
