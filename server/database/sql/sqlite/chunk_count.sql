-- $1: [[first id, last id], …], no id twice
SELECT count(*) AS "count!: i64"
FROM json_each($1) AS run
CROSS JOIN chunk ON chunk.id BETWEEN run.value ->> 0 AND run.value ->> 1
WHERE chunk.damaged_at IS NULL
