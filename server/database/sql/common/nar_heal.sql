UPDATE nar
SET file_hash = $2, file_size = $3, manifest = $4, listing = $5, created_at = $6, quarantined_at = NULL
WHERE id = $1 AND quarantined_at IS NOT NULL
