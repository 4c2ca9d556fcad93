SELECT CAST(coalesce((SELECT max(id) FROM chunk), 0) AS BIGINT) AS "chunk!: i64"
  , CAST(coalesce((SELECT max(id) FROM pack), 0) AS BIGINT) AS "pack!: i64"
