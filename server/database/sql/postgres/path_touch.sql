-- $1: [[cache id, hash], …], by cache and hash
-- Locked in their order first: an UPDATE comes to its rows in whatever order.
WITH used AS MATERIALIZED (
    SELECT path.cache_id, path.hash
    FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS asked (value, position)
    JOIN path ON path.cache_id = (asked.value ->> 0)::bigint AND path.hash = decode(asked.value ->> 1, 'hex')
    WHERE path.last_used_at < $2
    ORDER BY asked.position
    FOR NO KEY UPDATE OF path
)
UPDATE path
SET last_used_at = $2, condemned_at = NULL
FROM used
WHERE path.cache_id = used.cache_id AND path.hash = used.hash AND path.last_used_at < $2
