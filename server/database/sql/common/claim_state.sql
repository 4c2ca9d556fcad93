SELECT state FROM claim WHERE id = $1 AND cache_id = $2
