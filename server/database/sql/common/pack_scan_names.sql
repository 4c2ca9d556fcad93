SELECT name FROM pack WHERE name > $1 ORDER BY name LIMIT $2
