DELETE FROM pin WHERE cache_id = $1 AND name = $2
