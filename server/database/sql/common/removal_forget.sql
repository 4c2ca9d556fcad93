DELETE FROM removal WHERE id = $1
