SELECT tag.id
  , tag.name
  , tag.kind
  , tag.visibility
  , tag.last_number
  , tag.current_id
  , revision.number AS "number?"
  , revision.state AS "state?"
  , revision.reason AS "reason?"
  , revision.body AS "body?"
FROM tag
LEFT JOIN revision ON revision.id = tag.current_id
WHERE tag.cache_id = $1 AND tag.name = $2
