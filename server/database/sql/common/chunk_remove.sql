DELETE FROM chunk WHERE id BETWEEN $1 AND $2 AND condemned_at <= $3
