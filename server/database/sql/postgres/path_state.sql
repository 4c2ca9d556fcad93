-- $1: [[cache id, hash], …]
SELECT asked.position - 1 AS "position!: i64"
  , path.nar_id AS "nar_id!: i64"
  , nar.quarantined_at
  , path.refs AS "refs!: String"
  , path.signatures AS "signatures!: String"
  , path.extra AS "extra!: String"
FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS asked (value, position)
JOIN path ON path.cache_id = (asked.value ->> 0)::bigint AND path.hash = decode(asked.value ->> 1, 'hex')
JOIN nar ON nar.id = path.nar_id
