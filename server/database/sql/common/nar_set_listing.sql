UPDATE nar SET listing = $3 WHERE id = $1 AND ((listing IS NULL AND $2 IS NULL) OR listing = $2)
