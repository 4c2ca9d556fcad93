-- As promoted_insert, of those claims that are there and were not taken back.
INSERT INTO promoted (revision_id, hash, claim_id, cache_id, nar_hash)
SELECT $1, decode(member.value ->> 1, 'hex'), claim.id, $2, decode(member.value ->> 2, 'hex')
FROM jsonb_array_elements($3::text::jsonb) AS member (value)
JOIN claim ON claim.id = (member.value ->> 0)::bigint
WHERE claim.cache_id = $2 AND claim.state NOT IN ('withdrawn', 'revoked')
ON CONFLICT (revision_id, hash, claim_id) DO NOTHING
