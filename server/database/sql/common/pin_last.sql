SELECT revision, hash FROM pin WHERE cache_id = $1 AND name = $2 ORDER BY revision DESC LIMIT 1
