-- Islands of neighbouring ids: within one, an id is as far from its place in the page as every other.
SELECT min(id) AS "first!: i64", max(id) AS "last!: i64"
FROM (
    SELECT id, id - row_number() OVER (ORDER BY id) AS island
    FROM (
        SELECT id FROM chunk WHERE id > $1 AND id <= $2 AND condemned_at IS NULL ORDER BY id LIMIT $3
    ) AS page
) AS numbered
GROUP BY island
ORDER BY 1
