SELECT CAST(coalesce(sum(file_size), 0) AS BIGINT) AS "bytes!: i64"
FROM (
    SELECT DISTINCT nar.id, nar.file_size
    FROM path
    JOIN nar ON nar.id = path.nar_id
    WHERE path.cache_id = $1
) AS held
