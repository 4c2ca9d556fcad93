INSERT INTO upload (cache_id, file_name, nar_id, file_hash, file_size, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (cache_id, file_name) DO UPDATE
SET nar_id = excluded.nar_id, file_hash = excluded.file_hash, file_size = excluded.file_size, created_at = excluded.created_at
