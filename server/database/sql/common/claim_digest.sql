SELECT digest FROM claim WHERE id = $1
