INSERT INTO revoked_subject (subject, made_until) VALUES ($1, $2)
ON CONFLICT (subject) DO UPDATE SET made_until = excluded.made_until
WHERE revoked_subject.made_until < excluded.made_until
