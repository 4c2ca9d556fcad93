SELECT id, hash, pack_offset, stored_size, size, check_sum, damaged_at FROM chunk WHERE pack_id = $1 ORDER BY pack_offset
