UPDATE claim SET progress = $2, leased_until = $3
WHERE id = $1 AND state = 'verifying'
