-- $1: [name, …]
SELECT asked.position - 1 AS "position!: i64", pack.id AS "id!: i64", pack.name AS "name!: Vec<u8>", pack.size AS "size!: i64"
FROM jsonb_array_elements_text($1::text::jsonb) WITH ORDINALITY AS asked (name, position)
JOIN pack ON pack.name = decode(asked.name, 'hex')
