DELETE FROM cache_key WHERE cache_id = $1
