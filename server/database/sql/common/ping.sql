SELECT count(*) AS "count!: i64" FROM cache WHERE id = 0
