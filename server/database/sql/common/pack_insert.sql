-- The name is random, so the same name is the same pack: a commit that is repeated finds its own.
INSERT INTO pack (name, size) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET size = excluded.size
RETURNING id
