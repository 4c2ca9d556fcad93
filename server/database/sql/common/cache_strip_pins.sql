DELETE FROM pin WHERE cache_id = $1
