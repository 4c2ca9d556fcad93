UPDATE nar SET quarantined_at = $2 WHERE id = $1 AND quarantined_at IS NULL
