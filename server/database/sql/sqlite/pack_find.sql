-- $1: [name, …]
SELECT asked.key + 0 AS "position!: i64", pack.id AS "id!: i64", pack.name AS "name!: Vec<u8>", pack.size AS "size!: i64"
FROM json_each($1) AS asked
CROSS JOIN pack ON pack.name = unhex(asked.value)
