-- $2: [[first chunk id, last chunk id], …]
INSERT OR IGNORE INTO chunk_cache (chunk_id, cache_id)
SELECT chunk.id, cache.id
FROM cache
CROSS JOIN json_each($2) AS run
CROSS JOIN chunk ON chunk.id BETWEEN run.value ->> 0 AND run.value ->> 1
WHERE cache.id = $1 AND cache.deleted_at IS NULL
