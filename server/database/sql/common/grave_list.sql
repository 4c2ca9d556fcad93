SELECT name, size, seen_at, doomed_at, gone_at FROM grave WHERE name > $1 ORDER BY name LIMIT $2
