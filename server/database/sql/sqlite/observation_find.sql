-- $2: [hash, …]
SELECT observation.path, observation.builder, observation.nar_hash, observation.created_at
FROM json_each($2) AS asked
CROSS JOIN observation ON observation.cache_id = $1 AND observation.hash = unhex(asked.value)
ORDER BY observation.path, observation.created_at, observation.builder
