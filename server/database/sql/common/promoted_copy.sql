INSERT INTO promoted (revision_id, hash, claim_id, cache_id, nar_hash)
SELECT $2, promoted.hash, promoted.claim_id, promoted.cache_id, promoted.nar_hash
FROM promoted
WHERE promoted.revision_id = $1
