SELECT secret FROM promotion_key WHERE cache_id = $1 ORDER BY position
