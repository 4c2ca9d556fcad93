-- Nothing of a deleted cache: that it was deleted says it of all its paths, and its name may be another one's by now.
INSERT INTO removal (cache_name, path, removed_at)
SELECT name, CAST($2 AS TEXT), CAST($3 AS BIGINT) FROM cache WHERE id = $1 AND deleted_at IS NULL
