UPDATE claim SET state = CASE WHEN state = 'verifying' THEN state ELSE 'filed' END, due_at = $2, attempts = 0
WHERE id = $1 AND state NOT IN ('withdrawn', 'revoked')
