SELECT id, hash, size, file_hash, file_size, manifest, listing
FROM nar
WHERE hash = $1 AND quarantined_at IS NULL
