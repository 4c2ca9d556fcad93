-- The chunks that a cache has seen, so that those of a deleted cache are forgotten without a look at all others.
CREATE INDEX chunk_cache_by_cache ON chunk_cache (cache_id, chunk_id);
