UPDATE tag SET current_id = NULL WHERE current_id = $1 AND id = (SELECT tag_id FROM revision WHERE revision.id = $1)
