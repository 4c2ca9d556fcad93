SELECT cache.id, cache.name, cache.retention, cache.deleted_at, cache_limit.max_size
FROM cache
LEFT JOIN cache_limit ON cache_limit.cache_id = cache.id
ORDER BY cache.id
