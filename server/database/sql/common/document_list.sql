SELECT kind, name, manifest, size
FROM document
WHERE cache_id = $1 AND (kind, name) > ($2, $3)
ORDER BY kind, name
LIMIT $4
