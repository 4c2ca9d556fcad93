INSERT INTO claim (cache_id, digest, body, builder, state, filed_at, attempts, due_at, leased_until)
VALUES ($1, $2, $3, $4, 'filed', $5, 0, $5, 0)
ON CONFLICT (cache_id, digest) DO NOTHING
RETURNING id AS "id!: i64"
