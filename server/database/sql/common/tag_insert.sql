INSERT INTO tag (cache_id, name, kind, visibility, current_id, last_number) VALUES ($1, $2, $3, $4, NULL, 0)
ON CONFLICT (cache_id, name) DO NOTHING
