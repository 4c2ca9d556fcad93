-- $1: [hash, …]
SELECT asked.key + 0 AS "position!: i64"
  , nar.id AS "id!: i64"
  , nar.size AS "size!: i64"
  , nar.quarantined_at
FROM json_each($1) AS asked
CROSS JOIN nar ON nar.hash = unhex(asked.value)
