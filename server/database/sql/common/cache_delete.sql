UPDATE cache SET deleted_at = $2 WHERE name = $1 AND deleted_at IS NULL
