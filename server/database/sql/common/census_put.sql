INSERT INTO census (day, taken_at, figures)
VALUES ($1, $2, $3)
ON CONFLICT (day) DO UPDATE SET taken_at = excluded.taken_at, figures = excluded.figures
