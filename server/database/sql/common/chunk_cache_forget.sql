-- So many rows at a time, since a large cache has millions.
DELETE FROM chunk_cache
WHERE cache_id = $1 AND chunk_id IN (SELECT chunk_id FROM chunk_cache WHERE cache_id = $1 ORDER BY chunk_id LIMIT $2)
