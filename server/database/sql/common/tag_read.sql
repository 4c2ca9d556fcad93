SELECT tag.name, tag.kind, tag.visibility, tag.last_number, revision.number AS "current?"
FROM tag
LEFT JOIN revision ON revision.id = tag.current_id
WHERE tag.id = $1
