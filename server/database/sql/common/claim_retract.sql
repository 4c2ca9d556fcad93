UPDATE claim SET state = $2, reason = $3, due_at = NULL, progress = NULL
WHERE id = $1 AND state NOT IN ('withdrawn', 'revoked')
