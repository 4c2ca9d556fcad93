SELECT tag.name, tag.visibility, tag.current_id, revision.id, revision.number, revision.body
FROM promoted
JOIN revision ON revision.id = promoted.revision_id
JOIN tag ON tag.id = revision.tag_id
WHERE promoted.cache_id = $1 AND promoted.hash = $2
ORDER BY tag.name, revision.number DESC
LIMIT 1000
