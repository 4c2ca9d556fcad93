DELETE FROM grave WHERE name = $1
