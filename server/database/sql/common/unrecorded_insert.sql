INSERT INTO unrecorded (cache_id, kind, row_id) VALUES ($1, $2, $3)
