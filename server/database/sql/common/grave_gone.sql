UPDATE grave SET gone_at = $2 WHERE name = $1
