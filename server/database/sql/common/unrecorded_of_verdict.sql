INSERT INTO unrecorded (cache_id, kind, row_id)
SELECT claim.cache_id, 'verdict', verdict.id FROM verdict JOIN claim ON claim.id = verdict.claim_id WHERE verdict.id = $1
