-- $1: [[pack id, hash, offset, stored size, size, check], …]
INSERT INTO chunk (pack_id, hash, pack_offset, stored_size, size, check_sum)
SELECT new.value ->> 0, unhex(new.value ->> 1), new.value ->> 2, new.value ->> 3, new.value ->> 4, new.value ->> 5
FROM json_each($1) AS new
WHERE true -- or else ON CONFLICT would be read as the ON of a join
ORDER BY new.key
ON CONFLICT (hash) WHERE damaged_at IS NULL DO NOTHING
