SELECT DISTINCT hash FROM promoted
WHERE cache_id = $1 AND hash > $2
ORDER BY hash
LIMIT $3
