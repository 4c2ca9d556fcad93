-- $1: those from before; $2: and those beyond so many; $3: at most so many at once
DELETE FROM audit
WHERE id IN (
  SELECT id FROM (SELECT id FROM audit WHERE at < $1 ORDER BY at, id LIMIT $3) AS old
  UNION
  SELECT id FROM (SELECT id FROM audit WHERE id <= (SELECT max(id) FROM audit) - $2 ORDER BY id LIMIT $3) AS surplus
)
