DELETE FROM document WHERE cache_id = $1 AND kind = $2 AND name = $3 AND created_at = $4
