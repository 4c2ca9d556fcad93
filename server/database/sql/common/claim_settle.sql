UPDATE claim
SET state = $2, reason = $3, report = coalesce($4, report), due_at = $5, leased_until = 0, progress = NULL, attempts = attempts + 1
WHERE id = $1 AND state = 'verifying'
