-- As promoted_path, from the other end.
SELECT nar.id, nar.hash, nar.size, nar.file_hash, nar.file_size, nar.manifest, nar.listing
FROM nar
JOIN path ON path.nar_id = nar.id AND path.cache_id = $1
JOIN promoted ON promoted.revision_id = $2 AND promoted.hash = path.hash
JOIN cache ON cache.id = path.cache_id
WHERE nar.file_hash = $3
  AND nar.hash = promoted.nar_hash
  AND nar.quarantined_at IS NULL
  AND cache.deleted_at IS NULL
  AND NOT EXISTS (
    SELECT 1
    FROM nar AS damaged
    CROSS JOIN path AS hidden ON hidden.nar_id = damaged.id AND hidden.cache_id = $1
    CROSS JOIN promoted AS member
        ON member.revision_id = $2 AND member.hash = hidden.hash AND member.claim_id = promoted.claim_id
    WHERE damaged.quarantined_at IS NOT NULL
  )
LIMIT 1
