UPDATE chunk SET condemned_at = $3 WHERE id BETWEEN $1 AND $2 AND condemned_at IS NULL
