INSERT INTO unrecorded (cache_id, kind, row_id) SELECT cache_id, 'tag', id FROM tag WHERE id = $1
