SELECT hash, last_used_at, condemned_at FROM path WHERE cache_id = $1 AND hash > $2 ORDER BY hash LIMIT $3
