SELECT id, subject, grants, created_at, expires_at, minted_by, parent, last_used_at, revoked_at
FROM token
WHERE id = $1
