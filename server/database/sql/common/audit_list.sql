-- $1, $2: the last one of the page before; $3: since when; $4: how many
SELECT id, at, subject, token, address, act, cache, object, outcome, detail
FROM audit
WHERE (at, id) < ($1, $2) AND at >= $3
ORDER BY at DESC, id DESC
LIMIT $4
