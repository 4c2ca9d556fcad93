SELECT unrecorded.id, unrecorded.kind, unrecorded.row_id, cache.name AS cache_name
FROM unrecorded
JOIN cache ON cache.id = unrecorded.cache_id
WHERE cache.deleted_at IS NULL
ORDER BY unrecorded.id
LIMIT $1
