-- $1: [[cache id, hash, nar id, now, name, refs, deriver, ca, signatures, extra, pushed by], …], by cache and hash
INSERT INTO path (cache_id, hash, nar_id, created_at, last_used_at, name, refs, deriver, ca, signatures, extra, pushed_by)
SELECT (new.value ->> 0)::bigint
  , decode(new.value ->> 1, 'hex')
  , (new.value ->> 2)::bigint
  , (new.value ->> 3)::bigint
  , (new.value ->> 3)::bigint
  , new.value ->> 4
  , new.value ->> 5
  , new.value ->> 6
  , new.value ->> 7
  , new.value ->> 8
  , new.value ->> 9
  , new.value ->> 10
FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS new (value, position)
ORDER BY new.position
ON CONFLICT (cache_id, hash) DO NOTHING
RETURNING cache_id AS "cache_id!: i64", hash AS "hash!: Vec<u8>"
