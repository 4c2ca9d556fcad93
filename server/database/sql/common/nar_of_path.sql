SELECT nar.hash
FROM cache
JOIN path ON path.cache_id = cache.id
JOIN nar ON nar.id = path.nar_id
WHERE cache.name = $1 AND cache.deleted_at IS NULL AND path.hash = $2
