INSERT INTO promotion_policy (cache_id, number, rules, set_by, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (cache_id, number) DO NOTHING
RETURNING id AS "id!: i64"
