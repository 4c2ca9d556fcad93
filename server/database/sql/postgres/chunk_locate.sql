-- $1: [[first id, last id], …]
SELECT run.position - 1 AS "position!: i64"
  , chunk.id AS "id!: i64"
  , pack.name AS "pack!: Vec<u8>"
  , chunk.pack_offset AS "pack_offset!: i64"
  , chunk.stored_size AS "stored_size!: i64"
  , chunk.size AS "size!: i64"
  , chunk.check_sum AS "check_sum!: i64"
  , chunk.condemned_at
FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS run (value, position)
JOIN chunk ON chunk.id BETWEEN (run.value ->> 0)::bigint AND (run.value ->> 1)::bigint
JOIN pack ON pack.id = chunk.pack_id
ORDER BY run.position, chunk.id
