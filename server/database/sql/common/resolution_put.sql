INSERT INTO resolution (cache_id, hash, nar_hash, reason, resolved_by, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (cache_id, hash) DO UPDATE
SET nar_hash = excluded.nar_hash
  , reason = excluded.reason
  , resolved_by = excluded.resolved_by
  , created_at = excluded.created_at
