-- $1: [[pack id, hash, offset, stored size, size, check], …]
-- Ids in the order given, so that the chunks of a NAR are neighbours; inserted by hash, as every commit does: two that bring
-- the same chunks wait for each other in one order.
WITH new AS MATERIALIZED (
    SELECT nextval('chunk_id_seq') AS id
      , (given.value ->> 0)::bigint AS pack_id
      , decode(given.value ->> 1, 'hex') AS hash
      , (given.value ->> 2)::bigint AS pack_offset
      , (given.value ->> 3)::bigint AS stored_size
      , (given.value ->> 4)::bigint AS size
      , (given.value ->> 5)::bigint AS check_sum
    FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS given (value, position)
    ORDER BY given.position
)
INSERT INTO chunk (id, pack_id, hash, pack_offset, stored_size, size, check_sum)
SELECT id, pack_id, hash, pack_offset, stored_size, size, check_sum
FROM new
ORDER BY hash, id
ON CONFLICT (hash) WHERE damaged_at IS NULL DO NOTHING
