-- $2: [hash, …]
-- Hardly any NAR is quarantined, so these are gathered once; for all others the index of path alone has the answer.
WITH hidden AS (
    SELECT path.hash
    FROM nar
    CROSS JOIN path ON path.nar_id = nar.id AND path.cache_id = $1
    WHERE nar.quarantined_at IS NOT NULL
)
SELECT asked.key + 0 AS "position!: i64"
FROM json_each($2) AS asked
WHERE NOT EXISTS (SELECT 1 FROM path WHERE path.cache_id = $1 AND path.hash = unhex(asked.value))
  OR unhex(asked.value) IN (SELECT hash FROM hidden)
  OR NOT EXISTS (SELECT 1 FROM cache WHERE cache.id = $1 AND cache.deleted_at IS NULL)
ORDER BY asked.key
