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
FROM claim
JOIN cache ON cache.id = claim.cache_id
WHERE claim.cache_id = $1 AND claim.id < $2
ORDER BY claim.id DESC
LIMIT $3
