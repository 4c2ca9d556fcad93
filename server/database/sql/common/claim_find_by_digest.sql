SELECT id FROM claim WHERE cache_id = $1 AND digest = $2
