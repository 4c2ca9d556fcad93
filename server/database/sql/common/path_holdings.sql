SELECT path.name
  , cache.name AS cache_name
  , cache.is_public
  , path.pushed_by
  , path.created_at
  , path.last_used_at
  , nar.hash AS nar_hash
  , nar.quarantined_at
FROM cache
JOIN path ON path.cache_id = cache.id AND path.hash = $1
JOIN nar ON nar.id = path.nar_id
WHERE cache.deleted_at IS NULL
ORDER BY cache.name
