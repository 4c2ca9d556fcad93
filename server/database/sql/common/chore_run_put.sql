INSERT INTO chore_run (name, started_at, finished_at, report) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE
SET started_at = excluded.started_at, finished_at = excluded.finished_at, report = excluded.report
