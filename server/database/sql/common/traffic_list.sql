SELECT traffic.day, traffic.cache_id, traffic.hits, traffic.misses
FROM traffic
JOIN cache ON cache.id = traffic.cache_id
WHERE traffic.day >= $1 AND cache.deleted_at IS NULL
ORDER BY traffic.day, traffic.cache_id
