SELECT id FROM revision WHERE tag_id = $1 AND number = $2 AND state = 'kept'
