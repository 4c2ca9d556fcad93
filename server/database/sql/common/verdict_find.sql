-- What was found wrong with a closure and mended since does not count; its claim says whether it is mended.
SELECT report, manifest FROM verdict
WHERE claim_id = $1 AND policy_digest = $2
ORDER BY is_clean DESC, id DESC
LIMIT 1
