SELECT document.manifest, document.size
FROM document
JOIN cache ON cache.id = document.cache_id
WHERE document.cache_id = $1 AND document.kind = $2 AND document.name = $3 AND cache.deleted_at IS NULL
