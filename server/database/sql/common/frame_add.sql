INSERT INTO chunk (hash, pack_id, pack_offset, stored_size, size, check_sum, damaged_at)
SELECT $2, pack.id, $3, $4, $5, $6, $7
FROM pack
WHERE pack.name = $1
RETURNING id AS "id!"
