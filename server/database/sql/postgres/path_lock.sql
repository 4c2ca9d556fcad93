-- $1: [[cache id, hash], …], by cache and hash
SELECT path.nar_id
FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS asked (value, position)
JOIN path ON path.cache_id = (asked.value ->> 0)::bigint AND path.hash = decode(asked.value ->> 1, 'hex')
ORDER BY asked.position
FOR NO KEY UPDATE OF path
