SELECT taken_at, figures FROM census ORDER BY day DESC LIMIT $1
