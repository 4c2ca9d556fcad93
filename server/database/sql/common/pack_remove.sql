DELETE FROM pack
WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.pack_id = pack.id)
RETURNING name, size
