DELETE FROM document WHERE cache_id = $1 AND kind = 'listing' AND name = $2
