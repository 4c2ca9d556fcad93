SELECT number, rules, set_by, created_at FROM promotion_policy
WHERE cache_id = $1
ORDER BY number DESC
LIMIT $2
