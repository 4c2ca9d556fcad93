-- $1: [id, …], sorted
-- Locked in their order first: an UPDATE comes to its rows in whatever order.
WITH used AS MATERIALIZED (
    SELECT token.id
    FROM jsonb_array_elements_text($1::text::jsonb) WITH ORDINALITY AS asked (id, position)
    JOIN token ON token.id = asked.id
    WHERE token.last_used_at IS NULL OR token.last_used_at < $2
    ORDER BY asked.position
    FOR NO KEY UPDATE OF token
)
UPDATE token
SET last_used_at = $2
FROM used
WHERE token.id = used.id AND (token.last_used_at IS NULL OR token.last_used_at < $2)
