-- $2: [hash, …]
SELECT observation.path, observation.builder, observation.nar_hash, observation.created_at
FROM jsonb_array_elements_text($2::text::jsonb) AS asked (hash)
JOIN observation ON observation.cache_id = $1 AND observation.hash = decode(asked.hash, 'hex')
ORDER BY observation.path, observation.created_at, observation.builder
