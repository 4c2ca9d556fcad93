INSERT INTO revision (tag_id, number, state, reason, body, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tag_id, number) DO UPDATE SET state = excluded.state, reason = excluded.reason
RETURNING id AS "id!: i64"
