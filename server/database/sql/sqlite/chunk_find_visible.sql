-- $1: [cache id, …], $2: [hash, …]
WITH reader AS MATERIALIZED (
    SELECT cache.id
    FROM json_each($1) AS asked
    CROSS JOIN cache ON cache.id = asked.value AND cache.deleted_at IS NULL
)
SELECT asked.key + 0 AS "position!: i64"
  , chunk.id AS "id!: i64"
  , pack.name AS "pack!: Vec<u8>"
  , chunk.pack_offset AS "pack_offset!: i64"
  , chunk.stored_size AS "stored_size!: i64"
  , chunk.size AS "size!: i64"
  , chunk.check_sum AS "check_sum!: i64"
  , chunk.condemned_at
FROM json_each($2) AS asked
CROSS JOIN chunk ON chunk.hash = unhex(asked.value) AND chunk.damaged_at IS NULL
CROSS JOIN pack ON pack.id = chunk.pack_id
WHERE EXISTS (
    -- The plus: the few rows of a chunk are neighbours, and to read them is less than to look for each cache of a token.
    SELECT 1 FROM chunk_cache WHERE chunk_cache.chunk_id = chunk.id AND +chunk_cache.cache_id IN (SELECT id FROM reader)
)
