SELECT nar.id
  , nar.quarantined_at
  , nar.manifest
  , nar.listing
  , CASE
      WHEN EXISTS (SELECT 1 FROM path WHERE path.nar_id = nar.id) THEN 1
      WHEN EXISTS (SELECT 1 FROM upload WHERE upload.nar_id = nar.id) THEN 1
      ELSE 0
    END AS "is_used!: i32"
FROM nar
WHERE nar.id > $1
ORDER BY nar.id
LIMIT $2
