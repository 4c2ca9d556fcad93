INSERT INTO grave (name, size, seen_at, doomed_at) VALUES ($1, $2, $3, $3)
ON CONFLICT (name) DO UPDATE SET doomed_at = excluded.doomed_at, gone_at = NULL
