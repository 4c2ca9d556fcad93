-- $2: [[hash, offset, stored size, size, check], …]
INSERT INTO chunk (hash, pack_id, pack_offset, stored_size, size, check_sum)
SELECT unhex(new.value ->> 0), $1, new.value ->> 1, new.value ->> 2, new.value ->> 3, new.value ->> 4
FROM json_each($2) AS new
WHERE true -- or else ON CONFLICT would be read as the ON of a join
ORDER BY new.key
ON CONFLICT (hash) WHERE damaged_at IS NULL DO NOTHING
