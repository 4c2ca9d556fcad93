UPDATE path
SET refs = $3
  , deriver = coalesce(deriver, $4)
  , ca = coalesce(ca, $5)
  , signatures = $6
  , extra = $7
  , last_used_at = CASE WHEN last_used_at < $8 THEN $8 ELSE last_used_at END
  , condemned_at = NULL
WHERE cache_id = $1 AND hash = $2
