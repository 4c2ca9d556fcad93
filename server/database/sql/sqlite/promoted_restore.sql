-- As promoted_insert, of those claims that are there and were not taken back.
INSERT INTO promoted (revision_id, hash, claim_id, cache_id, nar_hash)
SELECT $1, unhex(member.value ->> 1), claim.id, $2, unhex(member.value ->> 2)
FROM json_each($3) AS member
CROSS JOIN claim ON claim.id = (member.value ->> 0)
WHERE claim.cache_id = $2 AND claim.state NOT IN ('withdrawn', 'revoked')
ON CONFLICT (revision_id, hash, claim_id) DO NOTHING
