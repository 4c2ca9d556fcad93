-- The cache $1 as cache_find has it, and beside it what token_standing tells of the token $2, $3, $4. Always one row.
SELECT cache.id AS "id?: i64"
  , cache.name AS "name?: String"
  , cache.is_public AS "is_public?: i64"
  , cache.store_dir AS "store_dir?: String"
  , cache.priority AS "priority?: i64"
  , cache.upstream_key_names AS "upstream_key_names?: String"
  , cache.retention AS "retention?: i64"
  , (SELECT string_agg(secret, chr(10) ORDER BY position) FROM cache_key WHERE cache_id = cache.id) AS "keys: String"
  , token.id IS NOT NULL AS "is_registered!: bool"
  , CASE
      WHEN token.id IS NOT NULL THEN token.revoked_at IS NOT NULL
      ELSE gone.subject IS NOT NULL AND coalesce($4::bigint, 0) <= gone.made_until
    END AS "is_revoked!: bool"
FROM (SELECT 1) AS always
LEFT JOIN cache ON cache.name = $1 AND cache.deleted_at IS NULL
LEFT JOIN token ON token.id = $2
LEFT JOIN revoked_subject AS gone ON gone.subject = $3
