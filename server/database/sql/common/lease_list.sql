SELECT name, holder, until FROM lease WHERE until > $1 ORDER BY name
