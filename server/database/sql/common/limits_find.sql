SELECT max_size, quota, is_read_only FROM cache_limit WHERE cache_id = $1
