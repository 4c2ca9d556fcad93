SELECT number, rules, set_by, created_at FROM promotion_policy WHERE id = $1
