-- $1: [id, …]
UPDATE token
SET last_used_at = $2
FROM json_each($1) AS used
WHERE token.id = used.value AND (token.last_used_at IS NULL OR token.last_used_at < $2)
