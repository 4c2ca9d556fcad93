SELECT count(*) AS "count!: i64" FROM cache WHERE id IN (SELECT value FROM json_each($1)) AND deleted_at IS NULL
