SELECT count(*) AS "count!: i64" FROM nar WHERE quarantined_at IS NOT NULL
