DELETE FROM path
WHERE path.cache_id = $1 AND path.hash = $2 AND NOT EXISTS (SELECT 1 FROM nar WHERE nar.id = path.nar_id)
