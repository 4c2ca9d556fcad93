SELECT count(*) AS "count!: i64"
FROM (SELECT 1 FROM chunk WHERE condemned_at IS NOT NULL LIMIT 1) AS condemned
