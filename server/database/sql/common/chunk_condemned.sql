SELECT id, condemned_at AS "condemned_at!: i64"
FROM chunk
WHERE condemned_at IS NOT NULL AND id > $1
ORDER BY id
LIMIT $2
