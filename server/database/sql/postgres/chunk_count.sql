-- $1: [[first id, last id], …], no id twice
SELECT count(*) AS "count!: i64"
FROM jsonb_array_elements($1::text::jsonb) AS run
JOIN chunk ON chunk.id BETWEEN (run ->> 0)::bigint AND (run ->> 1)::bigint
WHERE chunk.damaged_at IS NULL
