-- What the storage does not know yet of promotion. A row comes in the transaction that changes something, and goes once a record of
-- that is durable: so nothing is left out, however a process ends.
CREATE TABLE unrecorded (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, -- claim, verdict, revision, tag, receipt or keys
    row_id INTEGER NOT NULL -- the row of that kind; of keys the cache
) STRICT;
CREATE INDEX unrecorded_by_cache ON unrecorded (cache_id);

-- All that there is from before.
INSERT INTO unrecorded (cache_id, kind, row_id) SELECT DISTINCT cache_id, 'keys', cache_id FROM promotion_key;
INSERT INTO unrecorded (cache_id, kind, row_id) SELECT cache_id, 'claim', id FROM claim ORDER BY id;
INSERT INTO unrecorded (cache_id, kind, row_id)
SELECT claim.cache_id, 'verdict', verdict.id FROM verdict JOIN claim ON claim.id = verdict.claim_id ORDER BY verdict.id;
INSERT INTO unrecorded (cache_id, kind, row_id)
SELECT tag.cache_id, 'revision', revision.id FROM revision JOIN tag ON tag.id = revision.tag_id ORDER BY revision.id;
INSERT INTO unrecorded (cache_id, kind, row_id) SELECT cache_id, 'tag', id FROM tag ORDER BY id;
INSERT INTO unrecorded (cache_id, kind, row_id)
SELECT tag.cache_id, 'receipt', receipt.id FROM receipt JOIN tag ON tag.id = receipt.tag_id ORDER BY receipt.id;
