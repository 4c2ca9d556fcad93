-- SQLite goes on behind the highest number by itself.
SELECT 1 AS "done!: i64"
