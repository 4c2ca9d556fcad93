-- $2: [hash, …], in their order
-- Locked in that order first: an UPDATE comes to its rows in whatever order.
WITH used AS MATERIALIZED (
    SELECT path.hash
    FROM jsonb_array_elements_text($2::text::jsonb) WITH ORDINALITY AS asked (hash, position)
    JOIN path ON path.cache_id = $1 AND path.hash = decode(asked.hash, 'hex')
    WHERE path.condemned_at IS NOT NULL
    ORDER BY asked.position
    FOR NO KEY UPDATE OF path
)
UPDATE path
SET condemned_at = NULL
FROM used
WHERE path.cache_id = $1 AND path.hash = used.hash
