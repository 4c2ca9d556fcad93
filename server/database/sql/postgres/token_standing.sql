-- $1: jti, $2: subject, $3: when it was made. Always one row.
SELECT token.id IS NOT NULL AS "is_registered!: bool"
  , CASE
      WHEN token.id IS NOT NULL THEN token.revoked_at IS NOT NULL
      ELSE gone.subject IS NOT NULL AND coalesce($3::bigint, 0) <= gone.made_until
    END AS "is_revoked!: bool"
FROM (SELECT 1) AS always
LEFT JOIN token ON token.id = $1
LEFT JOIN revoked_subject AS gone ON gone.subject = $2
