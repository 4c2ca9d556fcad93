-- $1: [id, …]
UPDATE chunk SET damaged_at = $2 WHERE id IN (SELECT value FROM json_each($1)) AND damaged_at IS NULL
