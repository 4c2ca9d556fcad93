INSERT INTO revision (tag_id, number, state, reason, body, created_at) VALUES ($1, $2, 'kept', $3, $4, $5)
RETURNING id AS "id!: i64"
