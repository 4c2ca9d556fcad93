SELECT path.cache_id, path.hash, path.name
FROM path
JOIN cache ON cache.id = path.cache_id
WHERE path.nar_id = $1 AND cache.deleted_at IS NULL
ORDER BY path.cache_id
LIMIT $2
