-- $1: [cache id, …], $2: [hash, …]
WITH reader AS MATERIALIZED (
    SELECT cache.id
    FROM jsonb_array_elements($1::text::jsonb) AS asked
    JOIN cache ON cache.id = asked::bigint AND cache.deleted_at IS NULL
)
SELECT asked.position - 1 AS "position!: i64"
  , chunk.id AS "id!: i64"
  , pack.name AS "pack!: Vec<u8>"
  , chunk.pack_offset AS "pack_offset!: i64"
  , chunk.stored_size AS "stored_size!: i64"
  , chunk.size AS "size!: i64"
  , chunk.check_sum AS "check_sum!: i64"
  , chunk.condemned_at
FROM jsonb_array_elements_text($2::text::jsonb) WITH ORDINALITY AS asked (hash, position)
JOIN chunk ON chunk.hash = decode(asked.hash, 'hex') AND chunk.damaged_at IS NULL
JOIN pack ON pack.id = chunk.pack_id
JOIN LATERAL (
    -- The few rows of a chunk are neighbours, and to read them is less than to look for each cache of a token.
    SELECT FROM chunk_cache WHERE chunk_cache.chunk_id = chunk.id AND chunk_cache.cache_id IN (SELECT id FROM reader) LIMIT 1
) AS seen ON true
