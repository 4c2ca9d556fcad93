-- $1: [[cache id, hash], …]
UPDATE path
SET last_used_at = $2, condemned_at = NULL
FROM json_each($1) AS used
WHERE path.cache_id = used.value ->> 0 AND path.hash = unhex(used.value ->> 1) AND path.last_used_at < $2
