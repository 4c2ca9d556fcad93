SELECT nar.id, nar.hash, nar.size, nar.file_hash, nar.file_size, nar.manifest, nar.listing
FROM nar
WHERE nar.file_hash = $2
  AND nar.quarantined_at IS NULL
  AND EXISTS (SELECT 1 FROM path WHERE path.nar_id = nar.id AND path.cache_id = $1)
  AND EXISTS (SELECT 1 FROM cache WHERE cache.id = $1 AND cache.deleted_at IS NULL)
LIMIT 1
