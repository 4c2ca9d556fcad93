SELECT page.id AS "id!: i64"
  , page.name AS "name!: Vec<u8>"
  , page.size AS "size!: i64"
  , page.examined_live
  , CAST(coalesce(sum(chunk.stored_size), 0) AS BIGINT) AS "live_bytes!: i64"
  , count(chunk.id) AS "live_chunks!: i64"
  , count(chunk.damaged_at) AS "damaged_chunks!: i64"
FROM (SELECT id, name, size, examined_live FROM pack WHERE id > $1 ORDER BY id LIMIT $2) AS page
LEFT JOIN chunk ON chunk.pack_id = page.id
GROUP BY page.id, page.name, page.size, page.examined_live
ORDER BY page.id
