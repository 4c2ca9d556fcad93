-- $2: [hash, …]
UPDATE path
SET condemned_at = NULL
FROM json_each($2) AS asked
WHERE path.cache_id = $1 AND path.hash = unhex(asked.value) AND path.condemned_at IS NOT NULL
