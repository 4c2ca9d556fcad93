//! Attic's rows on PostgreSQL: the same as on SQLite, and nothing can be written.

use scratch::Database;
use source::attic::{AtticDatabase, RemoteFile};

/// The tables after all of Attic's migrations (June 2026), in the types that they have on PostgreSQL.
const SCHEMA: &str = r#"
CREATE TABLE "cache" (
  "id" bigserial NOT NULL PRIMARY KEY, "name" varchar(50) NOT NULL UNIQUE, "keypair" varchar NOT NULL,
  "is_public" bool NOT NULL, "store_dir" varchar NOT NULL, "priority" integer NOT NULL,
  "upstream_cache_key_names" varchar NOT NULL, "created_at" timestamp with time zone NOT NULL,
  "deleted_at" timestamp with time zone NULL, "retention_period" integer NULL
);
CREATE TABLE "nar" (
  "id" bigserial NOT NULL PRIMARY KEY, "state" char(1) NOT NULL, "nar_hash" varchar NOT NULL, "nar_size" bigint NOT NULL,
  "compression" varchar NOT NULL, "num_chunks" integer NOT NULL DEFAULT 1, "holders_count" integer NOT NULL DEFAULT 0,
  "created_at" timestamp with time zone NOT NULL
);
CREATE TABLE "object" (
  "id" bigserial NOT NULL PRIMARY KEY, "cache_id" bigint NOT NULL REFERENCES "cache" ("id") ON DELETE CASCADE,
  "nar_id" bigint NOT NULL REFERENCES "nar" ("id") ON DELETE CASCADE, "store_path_hash" varchar(32) NOT NULL,
  "store_path" varchar NOT NULL, "references" varchar NOT NULL, "system" varchar, "deriver" varchar, "sigs" varchar NOT NULL,
  "ca" varchar, "created_at" timestamp with time zone NOT NULL, "last_accessed_at" timestamp with time zone NULL,
  "created_by" varchar NULL
);
CREATE TABLE "chunk" (
  "id" bigserial NOT NULL PRIMARY KEY, "state" char(1) NOT NULL, "chunk_hash" varchar NOT NULL, "chunk_size" bigint NOT NULL,
  "file_hash" varchar NULL, "file_size" bigint NULL, "compression" varchar NOT NULL, "remote_file" varchar NOT NULL,
  "remote_file_id" varchar NOT NULL UNIQUE, "holders_count" integer NOT NULL DEFAULT 0,
  "created_at" timestamp with time zone NOT NULL
);
CREATE TABLE "chunkref" (
  "id" bigserial NOT NULL PRIMARY KEY, "nar_id" bigint NOT NULL REFERENCES "nar" ("id") ON DELETE CASCADE,
  "seq" integer NOT NULL, "chunk_id" bigint NULL REFERENCES "chunk" ("id") ON DELETE SET NULL
);
INSERT INTO cache (name, keypair, is_public, store_dir, priority, upstream_cache_key_names, created_at, deleted_at, retention_period)
VALUES ('team', 'team:secret', true, '/nix/store', 41, '["cache.nixos.org-1"]', now(), NULL, 60)
     , ('gone', 'gone:secret', true, '/nix/store', 41, '[]', now(), now(), NULL);
INSERT INTO nar (state, nar_hash, nar_size, compression, num_chunks, created_at)
VALUES ('V', 'sha256:00', 5000000000, 'zstd', 2, now()), ('P', 'sha256:01', 1, 'zstd', 0, now());
INSERT INTO chunk (state, chunk_hash, chunk_size, compression, remote_file, remote_file_id, created_at)
VALUES ('V', 'sha256:10', 1, 'zstd', '{"Local":{"name":"a.chunk"}}', 'local:a.chunk', now())
     , ('V', 'sha256:11', 1, 'none', '{"S3":{"region":"r","bucket":"b","key":"k"}}', 's3:r/b/k', now());
INSERT INTO chunkref (nar_id, seq, chunk_id) VALUES (1, 1, 2), (1, 0, 1);
INSERT INTO object (cache_id, nar_id, store_path_hash, store_path, "references", deriver, sigs, ca, created_at, created_by)
VALUES (1, 1, 'aaaa', '/nix/store/aaaa-x', '["b","c"]', 'x.drv', '["k:sig"]', NULL, now(), 'ci')
     , (1, 2, 'bbbb', '/nix/store/bbbb-y', 'no JSON', NULL, '[]', NULL, now(), NULL);
"#;

#[tokio::test]
async fn rows_are_read_and_cannot_be_written() {
    let database = Database::new();
    database.ask(SCHEMA);
    let attic = AtticDatabase::open_postgres(&database.url()).await.unwrap();
    let caches = attic.caches().await.unwrap();
    assert_eq!(caches.len(), 1, "the deleted one is none");
    let team = &caches[0];
    assert_eq!((team.name.as_str(), team.is_public, team.retention_period), ("team", true, Some(60)));
    assert_eq!(team.upstream_cache_key_names, ["cache.nixos.org-1"]);

    let objects = attic.objects(team.id, 0).await.unwrap();
    assert_eq!(objects.len(), 2);
    let good = objects[0].2.as_ref().unwrap();
    assert_eq!((good.nar_state.as_str(), good.nar_size, good.num_chunks), ("V", 5_000_000_000, 2));
    assert_eq!((&good.references[..], good.created_by.as_deref()), (&["b".to_owned(), "c".to_owned()][..], Some("ci")));
    assert!(objects[1].2.is_err(), "its references are no JSON");
    assert!(attic.objects(team.id, objects[1].0).await.unwrap().is_empty());

    let chunks = attic.chunks(good.nar_id, 2).await.unwrap();
    assert_eq!(chunks[0].file, RemoteFile::Local { name: "a.chunk".to_owned() });
    assert_eq!(chunks[1].compression, "none");
    assert!(attic.chunks(good.nar_id, 3).await.is_err());
    database.ask("UPDATE chunk SET state = 'P' WHERE id = 2");
    assert!(attic.chunks(good.nar_id, 2).await.is_err());
}

#[tokio::test]
async fn what_is_no_database_of_attic_is_an_error() {
    let database = Database::new();
    assert!(AtticDatabase::open_postgres(&database.url()).await.unwrap().caches().await.is_err());
    assert!(AtticDatabase::open_sqlite(std::path::Path::new("/nowhere/server.db")).await.is_err());
}
