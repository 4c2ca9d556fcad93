DELETE FROM path WHERE cache_id = $1 AND hash = $2 AND condemned_at <= $3 RETURNING name
