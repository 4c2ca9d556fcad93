SELECT upload.cache_id
  , upload.file_name
  , upload.created_at
  , CASE
      WHEN EXISTS (SELECT 1 FROM path WHERE path.nar_id = upload.nar_id AND path.cache_id = upload.cache_id) THEN 1
      ELSE 0
    END AS "is_used!: i32"
FROM upload
WHERE (upload.cache_id, upload.file_name) > ($1, $2)
ORDER BY upload.cache_id, upload.file_name
LIMIT $3
