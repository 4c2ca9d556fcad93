UPDATE nar SET listing = $3 WHERE id = $1 AND (listing = $2 OR (listing IS NULL AND $2 IS NULL))
