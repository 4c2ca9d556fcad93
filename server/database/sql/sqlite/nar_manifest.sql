-- $1: [id, …]
SELECT nar.id, nar.manifest
FROM json_each($1) AS asked
CROSS JOIN nar ON nar.id = asked.value
