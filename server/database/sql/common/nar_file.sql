SELECT file_hash FROM nar WHERE hash = $1
