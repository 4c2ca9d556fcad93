UPDATE path
SET condemned_at = $3
WHERE cache_id = $1 AND hash = $2 AND condemned_at IS NULL AND last_used_at <= $4
