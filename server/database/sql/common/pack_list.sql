SELECT id, name, size FROM pack WHERE id > $1 ORDER BY id LIMIT $2
