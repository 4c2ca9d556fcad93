-- $3: [[claim id, hash, NAR hash], …]
INSERT INTO promoted (revision_id, hash, claim_id, cache_id, nar_hash)
SELECT $1, unhex(member.value ->> 1), member.value ->> 0, $2, unhex(member.value ->> 2)
FROM json_each($3) AS member
WHERE TRUE
ON CONFLICT (revision_id, hash, claim_id) DO NOTHING
