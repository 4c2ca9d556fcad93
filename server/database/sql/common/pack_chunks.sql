SELECT chunk.id
  , chunk.hash
  , pack.name AS pack
  , chunk.pack_offset
  , chunk.stored_size
  , chunk.size
  , chunk.check_sum
  , chunk.damaged_at
FROM chunk
JOIN pack ON pack.id = chunk.pack_id
WHERE chunk.pack_id = $1
ORDER BY chunk.pack_offset, chunk.id
