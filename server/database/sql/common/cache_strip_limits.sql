DELETE FROM cache_limit WHERE cache_id = $1
