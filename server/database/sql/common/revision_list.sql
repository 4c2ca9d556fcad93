SELECT id, number, state, reason, body FROM revision
WHERE tag_id = $1 AND number < $2
ORDER BY number DESC
LIMIT $3
