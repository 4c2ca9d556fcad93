SELECT path.hash, path.nar_id, nar.file_size
FROM path
JOIN nar ON nar.id = path.nar_id
WHERE path.cache_id = $1 AND path.hash > $2
ORDER BY path.hash
LIMIT $3
