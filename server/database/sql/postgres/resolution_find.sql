-- $2: [hash, …]
SELECT resolution.hash, resolution.nar_hash, resolution.reason, resolution.resolved_by, resolution.created_at
FROM jsonb_array_elements_text($2::text::jsonb) AS asked (hash)
JOIN resolution ON resolution.cache_id = $1 AND resolution.hash = decode(asked.hash, 'hex')
