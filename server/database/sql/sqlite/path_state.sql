-- $1: [[cache id, hash], …]
SELECT asked.key + 0 AS "position!: i64"
  , path.nar_id AS "nar_id!: i64"
  , nar.quarantined_at
  , path.refs AS "refs!: String"
  , path.signatures AS "signatures!: String"
  , path.extra AS "extra!: String"
FROM json_each($1) AS asked
CROSS JOIN path ON path.cache_id = asked.value ->> 0 AND path.hash = unhex(asked.value ->> 1)
CROSS JOIN nar ON nar.id = path.nar_id
