UPDATE grave
SET doomed_at = coalesce(doomed_at, $2)
WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM pack WHERE pack.name = grave.name)
