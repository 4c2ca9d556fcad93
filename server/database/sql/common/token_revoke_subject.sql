-- $3: those that ended before are not good anyway
UPDATE token SET revoked_at = $2 WHERE subject = $1 AND expires_at > $3 AND revoked_at IS NULL
