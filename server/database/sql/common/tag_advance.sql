UPDATE tag SET last_number = last_number + 1, visibility = $3
WHERE id = $1 AND last_number = $2
RETURNING last_number AS "last_number!: i64"
