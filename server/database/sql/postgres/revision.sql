-- A snapshot says which transactions are seen and which are not: as long as it is the same, so is all that is read. The second part is
-- another one after a failover, when numbers of transactions may be given again.
SELECT sha256(convert_to(pg_current_snapshot()::text || ' ' || pg_postmaster_start_time()::text, 'UTF8')) AS "state!"
