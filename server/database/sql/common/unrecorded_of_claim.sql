INSERT INTO unrecorded (cache_id, kind, row_id) SELECT cache_id, 'claim', id FROM claim WHERE id = $1
