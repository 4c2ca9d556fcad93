INSERT INTO traffic (day, cache_id, hits, misses)
SELECT $1, cache.id, $3, $4
FROM cache
WHERE cache.id = $2
ON CONFLICT (day, cache_id) DO UPDATE SET hits = traffic.hits + excluded.hits, misses = traffic.misses + excluded.misses
