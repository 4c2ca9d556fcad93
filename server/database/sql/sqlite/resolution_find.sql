-- $2: [hash, …]
SELECT resolution.hash, resolution.nar_hash, resolution.reason, resolution.resolved_by, resolution.created_at
FROM json_each($2) AS asked
CROSS JOIN resolution ON resolution.cache_id = $1 AND resolution.hash = unhex(asked.value)
