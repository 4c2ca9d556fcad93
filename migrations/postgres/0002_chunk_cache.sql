-- Which caches have seen a chunk: pushed to them, or part of a NAR that they show. Only their readers may be told that it exists.
--
-- A row says something of two others and nothing of its own, so it goes with either.
CREATE TABLE chunk_cache (
    chunk_id BIGINT NOT NULL REFERENCES chunk (id) ON DELETE CASCADE,
    cache_id BIGINT NOT NULL REFERENCES cache (id) ON DELETE CASCADE,
    PRIMARY KEY (chunk_id, cache_id)
);
