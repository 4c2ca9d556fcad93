-- $1: [hash, …]
SELECT asked.position - 1 AS "position!: i64"
  , nar.id AS "id!: i64"
  , nar.size AS "size!: i64"
  , nar.quarantined_at
FROM jsonb_array_elements_text($1::text::jsonb) WITH ORDINALITY AS asked (hash, position)
JOIN nar ON nar.hash = decode(asked.hash, 'hex')
