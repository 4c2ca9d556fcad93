INSERT INTO grave (name, size, seen_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING
