SELECT document.created_at
FROM document
JOIN cache ON cache.id = document.cache_id
WHERE cache.name = $1 AND cache.deleted_at IS NULL AND document.kind = $2 AND document.name = $3
