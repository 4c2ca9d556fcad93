UPDATE chunk
SET pack_id = $4, pack_offset = pack_offset + $5
WHERE id BETWEEN $1 AND $2 AND pack_id = $3 AND damaged_at IS NULL
