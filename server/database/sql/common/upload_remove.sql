DELETE FROM upload WHERE cache_id = $1 AND file_name = $2 AND created_at = $3
