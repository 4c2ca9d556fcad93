UPDATE revision SET state = $2, reason = coalesce($3, reason)
WHERE id = $1 AND state = 'kept'
  AND ($2 = 'revoked' OR NOT EXISTS (SELECT 1 FROM tag WHERE tag.id = revision.tag_id AND tag.current_id = revision.id))
