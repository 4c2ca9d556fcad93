-- Which caches have seen a chunk: pushed to them, or part of a NAR that they show. Only their readers may be told that it exists.
--
-- Chunks from before this migration have no row: which NARs hold them is written in manifests, which SQL cannot read. They
-- are as if never seen, so a native push sends them once more; they are still stored once, and served as before.
--
-- A row says something of two others and nothing of its own, so it goes with either.
CREATE TABLE chunk_cache (
    chunk_id INTEGER NOT NULL REFERENCES chunk (id) ON DELETE CASCADE,
    cache_id INTEGER NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    PRIMARY KEY (chunk_id, cache_id)
) STRICT, WITHOUT ROWID;
