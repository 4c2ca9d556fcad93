DELETE FROM watermark WHERE at < $1
