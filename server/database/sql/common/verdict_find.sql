SELECT report, manifest FROM verdict
WHERE claim_id = $1 AND policy_digest = $2
ORDER BY id DESC
LIMIT 1
