-- $1: [[hash, size, file hash, file size, manifest, listing or null, now], …], by hash
INSERT INTO nar (hash, size, file_hash, file_size, manifest, listing, created_at)
SELECT decode(new.value ->> 0, 'hex')
  , (new.value ->> 1)::bigint
  , decode(new.value ->> 2, 'hex')
  , (new.value ->> 3)::bigint
  , decode(new.value ->> 4, 'hex')
  , decode(new.value ->> 5, 'hex')
  , (new.value ->> 6)::bigint
FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS new (value, position)
ORDER BY new.position
ON CONFLICT (hash) DO NOTHING
