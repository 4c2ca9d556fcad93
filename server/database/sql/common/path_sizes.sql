SELECT path.hash, path.name, path.created_at, nar.id AS nar_id, nar.size, nar.file_size, nar.manifest
FROM path
JOIN nar ON nar.id = path.nar_id
WHERE path.cache_id = $1 AND path.hash > $2 AND nar.quarantined_at IS NULL
ORDER BY path.hash
LIMIT $3
