SELECT count(*) AS "count!: i64" FROM grave WHERE name = $1 AND doomed_at IS NOT NULL
