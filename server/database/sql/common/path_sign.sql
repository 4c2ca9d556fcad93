UPDATE path SET signatures = $3 WHERE cache_id = $1 AND hash = $2
