SELECT id FROM chunk
WHERE pack_id = (SELECT id FROM pack WHERE name = $1) AND pack_offset = $2
ORDER BY id
LIMIT 1
