DELETE FROM path WHERE cache_id = $1 AND hash = $2
