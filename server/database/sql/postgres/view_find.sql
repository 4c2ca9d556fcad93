SELECT cache.id
  , cache.name
  , cache.is_public
  , cache.store_dir
  , cache.priority
  , cache.upstream_key_names
  , cache.retention
  , (SELECT string_agg(secret, chr(10) ORDER BY position) FROM cache_key WHERE cache_id = cache.id) AS "keys: String"
  , (SELECT string_agg(secret, chr(10) ORDER BY position) FROM promotion_key WHERE cache_id = cache.id)
    AS "promotion_keys: String"
  , tag.visibility
  , tag.current_id
FROM cache
JOIN tag ON tag.cache_id = cache.id AND tag.name = $2
WHERE cache.name = $1 AND cache.deleted_at IS NULL
