-- As token_list, with $6: whose.
SELECT id, subject, grants, created_at, expires_at, minted_by, parent, last_used_at, revoked_at
FROM token
WHERE subject = $6 AND (expires_at, id) > ($1, $2) AND expires_at < $3 AND ($4 OR revoked_at IS NULL)
ORDER BY expires_at, id
LIMIT $5
