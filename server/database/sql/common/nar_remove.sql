DELETE FROM nar
WHERE id = $1
  AND NOT EXISTS (SELECT 1 FROM path WHERE path.nar_id = nar.id)
  AND NOT EXISTS (SELECT 1 FROM upload WHERE upload.nar_id = nar.id)
