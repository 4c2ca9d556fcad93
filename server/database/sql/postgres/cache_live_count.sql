SELECT count(*) AS "count!: i64"
FROM jsonb_array_elements($1::text::jsonb) AS asked
JOIN cache ON cache.id = asked::bigint AND cache.deleted_at IS NULL
