-- What comes next has a number behind those that were given.
SELECT setval(pg_get_serial_sequence('claim', 'id'), coalesce((SELECT max(id) FROM claim), 0) + 1, FALSE)
  + setval(pg_get_serial_sequence('receipt', 'id'), coalesce((SELECT max(id) FROM receipt), 0) + 1, FALSE)
  AS "done!: i64"
