INSERT INTO watermark (at, chunk_id, pack_id) VALUES ($1, $2, $3) ON CONFLICT (at) DO NOTHING
