SELECT after_pack, after_nar, began_at, read_bytes, found, ended_at, last_found FROM scrub WHERE id = 1
