-- A closure with a damaged NAR is not shown at all. Damage is rare, so it is asked for first.
SELECT path.name
  , path.refs
  , path.deriver
  , path.ca
  , path.signatures
  , path.extra
  , nar.hash AS nar_hash
  , nar.size AS nar_size
  , nar.file_hash
  , nar.file_size
FROM promoted
JOIN path ON path.cache_id = promoted.cache_id AND path.hash = promoted.hash
JOIN nar ON nar.id = path.nar_id
JOIN cache ON cache.id = path.cache_id
WHERE promoted.cache_id = $1 AND promoted.revision_id = $2 AND promoted.hash = $3
  AND nar.hash = promoted.nar_hash
  AND nar.quarantined_at IS NULL
  AND cache.deleted_at IS NULL
  AND NOT EXISTS (
    SELECT 1
    FROM nar AS damaged
    JOIN path AS hidden ON hidden.nar_id = damaged.id AND hidden.cache_id = $1
    JOIN promoted AS member
        ON member.revision_id = $2 AND member.hash = hidden.hash AND member.claim_id = promoted.claim_id
    WHERE damaged.quarantined_at IS NOT NULL
  )
LIMIT 1
