SELECT nar.id, nar.hash, nar.size, nar.file_hash, nar.file_size, nar.manifest, nar.listing
FROM path
JOIN nar ON nar.id = path.nar_id
JOIN cache ON cache.id = path.cache_id
WHERE path.cache_id = $1 AND path.hash = $2 AND nar.quarantined_at IS NULL AND cache.deleted_at IS NULL
