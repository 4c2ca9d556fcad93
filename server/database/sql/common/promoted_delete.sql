DELETE FROM promoted WHERE revision_id = $1
