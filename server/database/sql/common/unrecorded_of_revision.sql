-- The revision, and then its tag, which may no longer point at it.
INSERT INTO unrecorded (cache_id, kind, row_id)
SELECT tag.cache_id, 'revision', revision.id FROM revision JOIN tag ON tag.id = revision.tag_id WHERE revision.id = $1
UNION ALL
SELECT tag.cache_id, 'tag', tag.id FROM revision JOIN tag ON tag.id = revision.tag_id WHERE revision.id = $1
