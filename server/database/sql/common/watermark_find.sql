SELECT at, chunk_id, pack_id FROM watermark WHERE at <= $1 ORDER BY at DESC LIMIT 1
