SELECT path.hash, path.name, path.refs, path.nar_id, nar.id AS "known_nar?"
FROM path
LEFT JOIN nar ON nar.id = path.nar_id
WHERE path.cache_id = $1 AND path.hash > $2
ORDER BY path.hash
LIMIT $3
