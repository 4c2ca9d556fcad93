UPDATE tag SET current_id = (
    SELECT revision.id FROM revision WHERE revision.tag_id = tag.id AND revision.number = $2 AND revision.state = 'kept'
)
WHERE id = $1
