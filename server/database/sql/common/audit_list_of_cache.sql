-- As audit_list, with $5: the cache.
SELECT id, at, subject, token, address, act, cache, object, outcome, detail
FROM audit
WHERE cache = $5 AND (at, id) < ($1, $2) AND at >= $3
ORDER BY at DESC, id DESC
LIMIT $4
