-- $1: [[first id, last id], …]
SELECT run.key + 0 AS "position!: i64"
  , chunk.id AS "id!: i64"
  , pack.name AS "pack!: Vec<u8>"
  , chunk.pack_offset AS "pack_offset!: i64"
  , chunk.stored_size AS "stored_size!: i64"
  , chunk.size AS "size!: i64"
  , chunk.check_sum AS "check_sum!: i64"
  , chunk.condemned_at
FROM json_each($1) AS run
CROSS JOIN chunk ON chunk.id BETWEEN run.value ->> 0 AND run.value ->> 1
CROSS JOIN pack ON pack.id = chunk.pack_id
ORDER BY run.key, chunk.id
