SELECT id
  , name
  , is_public
  , store_dir
  , priority
  , upstream_key_names
  , retention
  , (SELECT string_agg(secret, chr(10) ORDER BY position) FROM cache_key WHERE cache_id = cache.id) AS "keys: String"
FROM cache
WHERE name = $1 AND deleted_at IS NULL
