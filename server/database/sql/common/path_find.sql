SELECT path.name
  , path.refs
  , path.deriver
  , path.ca
  , path.signatures
  , path.extra
  , nar.hash AS nar_hash
  , nar.size AS nar_size
  , nar.file_hash
  , nar.file_size
  , path.condemned_at
FROM path
JOIN nar ON nar.id = path.nar_id
JOIN cache ON cache.id = path.cache_id
WHERE path.cache_id = $1 AND path.hash = $2 AND nar.quarantined_at IS NULL AND cache.deleted_at IS NULL
