SELECT claim.id
  , claim.cache_id
  , cache.name AS cache_name
  , claim.body
  , claim.builder
  , claim.state
  , claim.reason
  , claim.report
  , claim.filed_at
  , claim.attempts
  , claim.progress
FROM claim_output
JOIN claim ON claim.id = claim_output.claim_id
JOIN cache ON cache.id = claim.cache_id
WHERE claim_output.cache_id = $1 AND claim_output.hash = $2
ORDER BY claim.id DESC
LIMIT 100
