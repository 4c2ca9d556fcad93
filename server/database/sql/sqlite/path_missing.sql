-- $2: [hash, …]
SELECT asked.key + 0 AS "position!: i64"
FROM json_each($2) AS asked
WHERE NOT EXISTS (
    SELECT 1
    FROM path
    CROSS JOIN nar ON nar.id = path.nar_id
    CROSS JOIN cache ON cache.id = path.cache_id
    WHERE path.cache_id = $1
      AND path.hash = unhex(asked.value)
      AND nar.quarantined_at IS NULL
      AND cache.deleted_at IS NULL
)
ORDER BY asked.key
