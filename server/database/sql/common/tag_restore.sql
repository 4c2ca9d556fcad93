INSERT INTO tag (cache_id, name, kind, visibility, current_id, last_number) VALUES ($1, $2, $3, $4, NULL, $5)
ON CONFLICT (cache_id, name) DO UPDATE SET visibility = excluded.visibility, last_number = excluded.last_number
RETURNING id AS "id!: i64"
