DELETE FROM promotion_key WHERE cache_id = $1
