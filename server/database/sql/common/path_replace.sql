UPDATE path
SET nar_id = $3
  , created_at = $4
  , last_used_at = $4
  , name = $5
  , refs = $6
  , deriver = $7
  , ca = $8
  , signatures = $9
  , extra = $10
  , pushed_by = $11
  , condemned_at = NULL
WHERE cache_id = $1 AND hash = $2
