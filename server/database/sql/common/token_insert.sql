INSERT INTO token (id, subject, grants, created_at, expires_at, minted_by, parent, proof, revoked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
