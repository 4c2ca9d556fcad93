-- $3: [[claim id, hash, NAR hash], …]
INSERT INTO promoted (revision_id, hash, claim_id, cache_id, nar_hash)
SELECT $1, decode(member.value ->> 1, 'hex'), (member.value ->> 0)::bigint, $2, decode(member.value ->> 2, 'hex')
FROM jsonb_array_elements($3::text::jsonb) AS member (value)
ON CONFLICT (revision_id, hash, claim_id) DO NOTHING
