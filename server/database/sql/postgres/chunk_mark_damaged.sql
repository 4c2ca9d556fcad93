-- $1: [id, …]
UPDATE chunk
SET damaged_at = $2
FROM jsonb_array_elements($1::text::jsonb) AS damaged
WHERE chunk.id = damaged::bigint AND chunk.damaged_at IS NULL
