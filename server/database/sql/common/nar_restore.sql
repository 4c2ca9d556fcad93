INSERT INTO nar (hash, size, file_hash, file_size, created_at, manifest, listing)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (hash) DO NOTHING
