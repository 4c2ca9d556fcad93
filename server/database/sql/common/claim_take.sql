UPDATE claim SET state = 'verifying', leased_until = $2, progress = NULL
WHERE leased_until <= $1 AND id = (
    SELECT claim.id
    FROM claim
    JOIN cache ON cache.id = claim.cache_id
    WHERE claim.due_at <= $1 AND claim.leased_until <= $1 AND cache.deleted_at IS NULL
    ORDER BY claim.due_at
    LIMIT 1
)
RETURNING id AS "id!: i64"
