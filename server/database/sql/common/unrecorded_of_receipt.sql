INSERT INTO unrecorded (cache_id, kind, row_id)
SELECT tag.cache_id, 'receipt', receipt.id FROM receipt JOIN tag ON tag.id = receipt.tag_id WHERE receipt.id = $1
