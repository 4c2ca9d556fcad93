INSERT INTO scrub (id, after_pack, after_nar, began_at, read_bytes, found, ended_at, last_found)
VALUES (1, $1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE
SET after_pack = excluded.after_pack
  , after_nar = excluded.after_nar
  , began_at = excluded.began_at
  , read_bytes = excluded.read_bytes
  , found = excluded.found
  , ended_at = excluded.ended_at
  , last_found = excluded.last_found
