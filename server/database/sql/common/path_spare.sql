UPDATE path SET condemned_at = NULL WHERE cache_id = $1 AND hash = $2
