-- $2: [[first chunk id, last chunk id], …]
INSERT INTO chunk_cache (chunk_id, cache_id)
SELECT chunk.id, cache.id
FROM cache
CROSS JOIN jsonb_array_elements($2::text::jsonb) AS run
JOIN chunk ON chunk.id BETWEEN (run ->> 0)::bigint AND (run ->> 1)::bigint
WHERE cache.id = $1 AND cache.deleted_at IS NULL
ORDER BY chunk.id -- as every commit does
ON CONFLICT DO NOTHING
