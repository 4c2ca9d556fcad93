DELETE FROM unrecorded WHERE id = $1
