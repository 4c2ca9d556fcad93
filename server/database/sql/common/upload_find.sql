SELECT upload.file_hash AS upload_hash
  , upload.file_size AS upload_size
  , nar.id
  , nar.hash
  , nar.size
  , nar.file_hash
  , nar.file_size
  , nar.manifest
  , nar.listing
FROM upload
JOIN nar ON nar.id = upload.nar_id
JOIN cache ON cache.id = upload.cache_id
WHERE upload.cache_id = $1 AND upload.file_name = $2 AND nar.quarantined_at IS NULL AND cache.deleted_at IS NULL
