-- $2: [hash, …]
-- Hardly any NAR is quarantined, so these are gathered once; for all others the index of path alone has the answer.
WITH hidden AS MATERIALIZED (
    SELECT path.hash
    FROM nar
    JOIN path ON path.nar_id = nar.id AND path.cache_id = $1
    WHERE nar.quarantined_at IS NOT NULL
)
SELECT asked.position - 1 AS "position!: i64"
FROM jsonb_array_elements_text($2::text::jsonb) WITH ORDINALITY AS asked (hash, position)
LEFT JOIN path ON path.cache_id = $1 AND path.hash = decode(asked.hash, 'hex')
WHERE path.hash IS NULL
  OR path.hash IN (SELECT hash FROM hidden)
  OR NOT EXISTS (SELECT 1 FROM cache WHERE cache.id = $1 AND cache.deleted_at IS NULL)
ORDER BY asked.position
