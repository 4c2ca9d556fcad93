SELECT tag.name, tag.kind, revision.number, revision.state, revision.reason, revision.body
FROM revision
JOIN tag ON tag.id = revision.tag_id
WHERE revision.id = $1
