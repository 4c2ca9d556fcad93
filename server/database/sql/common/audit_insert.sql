INSERT INTO audit (at, subject, token, address, act, cache, object, outcome, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
