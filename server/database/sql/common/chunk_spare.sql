UPDATE chunk SET condemned_at = NULL WHERE id BETWEEN $1 AND $2 AND condemned_at IS NOT NULL
