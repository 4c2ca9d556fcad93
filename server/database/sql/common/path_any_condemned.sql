SELECT count(*) AS "count!: i64"
FROM (SELECT 1 FROM path WHERE cache_id = $1 AND condemned_at IS NOT NULL LIMIT 1) AS condemned
