-- $1: [id, …]
SELECT nar.id, nar.manifest
FROM jsonb_array_elements($1::text::jsonb) AS asked
JOIN nar ON nar.id = asked::bigint
