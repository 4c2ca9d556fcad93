-- $1: [[hash, size, file hash, file size, manifest, listing or null, now], …]
INSERT INTO nar (hash, size, file_hash, file_size, manifest, listing, created_at)
SELECT unhex(new.value ->> 0)
  , new.value ->> 1
  , unhex(new.value ->> 2)
  , new.value ->> 3
  , unhex(new.value ->> 4)
  , unhex(new.value ->> 5)
  , new.value ->> 6
FROM json_each($1) AS new
WHERE true -- or else ON CONFLICT would be read as the ON of a join
ORDER BY new.key
ON CONFLICT (hash) DO NOTHING
