-- $1: [hash, …]
SELECT asked.position - 1 AS "position!: i64"
  , chunk.id AS "id!: i64"
  , pack.name AS "pack!: Vec<u8>"
  , chunk.pack_offset AS "pack_offset!: i64"
  , chunk.stored_size AS "stored_size!: i64"
  , chunk.size AS "size!: i64"
  , chunk.check_sum AS "check_sum!: i64"
  , chunk.condemned_at
FROM jsonb_array_elements_text($1::text::jsonb) WITH ORDINALITY AS asked (hash, position)
JOIN chunk ON chunk.hash = decode(asked.hash, 'hex') AND chunk.damaged_at IS NULL
JOIN pack ON pack.id = chunk.pack_id
