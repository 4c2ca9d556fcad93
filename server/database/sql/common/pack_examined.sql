UPDATE pack SET examined_live = $2 WHERE id = $1
