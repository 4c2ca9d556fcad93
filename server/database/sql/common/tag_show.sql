UPDATE tag SET visibility = $2 WHERE id = $1
