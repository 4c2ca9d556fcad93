SELECT id FROM pack WHERE name = $1
