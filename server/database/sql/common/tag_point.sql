UPDATE tag SET current_id = $2 WHERE id = $1
