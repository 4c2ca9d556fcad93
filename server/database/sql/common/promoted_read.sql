SELECT claim_id, hash, nar_hash FROM promoted WHERE revision_id = $1 ORDER BY hash, claim_id
