INSERT INTO claim (id, cache_id, digest, body, builder, state, reason, report, filed_at, attempts, due_at, leased_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, 0)
ON CONFLICT (id) DO UPDATE
SET state = excluded.state, reason = excluded.reason, report = excluded.report, due_at = excluded.due_at
WHERE claim.cache_id = excluded.cache_id
