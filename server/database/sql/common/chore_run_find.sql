SELECT started_at, finished_at, report FROM chore_run WHERE name = $1
