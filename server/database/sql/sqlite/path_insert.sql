-- $1: [[cache id, hash, nar id, now, name, refs, deriver, ca, signatures, extra, pushed by], …]
INSERT INTO path (cache_id, hash, nar_id, created_at, last_used_at, name, refs, deriver, ca, signatures, extra, pushed_by)
SELECT new.value ->> 0
  , unhex(new.value ->> 1)
  , new.value ->> 2
  , new.value ->> 3
  , new.value ->> 3
  , new.value ->> 4
  , new.value ->> 5
  , new.value ->> 6
  , new.value ->> 7
  , new.value ->> 8
  , new.value ->> 9
  , new.value ->> 10
FROM json_each($1) AS new
WHERE true -- or else ON CONFLICT would be read as the ON of a join
ORDER BY new.key
ON CONFLICT (cache_id, hash) DO NOTHING
RETURNING cache_id AS "cache_id!: i64", hash AS "hash!: Vec<u8>"
