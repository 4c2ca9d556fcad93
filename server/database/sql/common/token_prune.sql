DELETE FROM token WHERE id IN (SELECT id FROM token WHERE expires_at < $1 ORDER BY expires_at, id LIMIT $2)
