UPDATE cache
SET is_public = coalesce($2, is_public)
  , store_dir = coalesce($3, store_dir)
  , priority = coalesce($4, priority)
  , upstream_key_names = coalesce($5, upstream_key_names)
  -- NULL is a value of this column, so whether it changes is told beside it.
  , retention = CASE WHEN CAST($6 AS BIGINT) = 1 THEN $7 ELSE retention END
WHERE name = $1 AND deleted_at IS NULL
RETURNING id
