DELETE FROM pin WHERE expires_at <= $1
