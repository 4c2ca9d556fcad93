SELECT id, hash, size, file_hash, file_size, manifest, listing, quarantined_at
FROM nar
WHERE id > $1
ORDER BY id
LIMIT $2
