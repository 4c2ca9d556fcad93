//! A deployment of Attic as its own migrations and its own writer leave it: the schema of June 2026 in SQLite or PostgreSQL, and chunks in
//! a folder or in a bucket.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bucket::{ACCESS_KEY_ID, BUCKET, REGION, SECRET_ACCESS_KEY};
use formats::{Compression, NarHash, SecretKey};
use futures::TryStreamExt;
use s3::{Login, Options, S3Storage};
use sha2::{Digest, Sha256};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use storage::Storage;

use crate::harness::compress;

/// The tables after all migrations, in the types that they have on SQLite.
const SCHEMA: &str = r#"
CREATE TABLE "cache" (
  "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "name" varchar(50) NOT NULL UNIQUE,
  "keypair" varchar NOT NULL,
  "is_public" boolean NOT NULL,
  "store_dir" varchar NOT NULL,
  "priority" integer NOT NULL,
  "upstream_cache_key_names" varchar NOT NULL,
  "created_at" timestamp_with_timezone_text NOT NULL,
  "deleted_at" timestamp_with_timezone_text,
  "retention_period" integer NULL
);
CREATE INDEX "idx-cache-name" ON "cache" ("name");
CREATE TABLE "nar" (
  "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "state" char(1) NOT NULL,
  "nar_hash" varchar NOT NULL,
  "nar_size" bigint NOT NULL,
  "compression" varchar NOT NULL,
  "num_chunks" integer NOT NULL DEFAULT 1,
  "holders_count" integer NOT NULL DEFAULT 0,
  "created_at" timestamp_with_timezone_text NOT NULL
);
CREATE INDEX "idx-nar-state-holders" ON "nar" ("state", "holders_count");
CREATE TABLE "object" (
  "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "cache_id" bigint NOT NULL,
  "nar_id" bigint NOT NULL,
  "store_path_hash" varchar(32) NOT NULL,
  "store_path" varchar NOT NULL,
  "references" varchar NOT NULL,
  "system" varchar,
  "deriver" varchar,
  "sigs" varchar NOT NULL,
  "ca" varchar,
  "created_at" timestamp_with_timezone_text NOT NULL,
  "last_accessed_at" timestamp_with_timezone_text NULL,
  "created_by" varchar NULL,
  FOREIGN KEY ("cache_id") REFERENCES "cache" ("id") ON DELETE CASCADE,
  FOREIGN KEY ("nar_id") REFERENCES "nar" ("id") ON DELETE CASCADE
);
CREATE UNIQUE INDEX "idx-object-cache-hash" ON "object" ("cache_id", "store_path_hash");
CREATE TABLE "chunk" (
  "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "state" char(1) NOT NULL,
  "chunk_hash" varchar NOT NULL,
  "chunk_size" bigint NOT NULL,
  "file_hash" varchar NULL,
  "file_size" bigint NULL,
  "compression" varchar NOT NULL,
  "remote_file" varchar NOT NULL,
  "remote_file_id" varchar NOT NULL UNIQUE,
  "holders_count" integer NOT NULL DEFAULT 0,
  "created_at" timestamp_with_timezone_text NOT NULL
);
CREATE INDEX "idx-chunk-chunk-hash" ON "chunk" ("chunk_hash");
CREATE INDEX "idx-chunk-state-holders" ON "chunk" ("state", "holders_count");
CREATE TABLE "chunkref" (
  "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "nar_id" bigint NOT NULL,
  "seq" integer NOT NULL,
  "chunk_id" bigint NULL,
  FOREIGN KEY ("chunk_id") REFERENCES "chunk" ("id") ON DELETE SET NULL,
  FOREIGN KEY ("nar_id") REFERENCES "nar" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx-chunk-nar-id" ON "chunkref" ("nar_id");
CREATE INDEX "idx-chunk-chunk-id" ON "chunkref" ("chunk_id");
CREATE TABLE "seaql_migrations" ("version" varchar NOT NULL PRIMARY KEY, "applied_at" bigint NOT NULL);
"#;

/// Types that have other names on PostgreSQL.
const POSTGRES: [(&str, &str); 2] = [
    ("integer NOT NULL PRIMARY KEY AUTOINCREMENT", "bigserial NOT NULL PRIMARY KEY"),
    ("timestamp_with_timezone_text", "timestamp with time zone"),
];
/// Tables in an order in which rows can be copied, with their columns.
const TABLES: [(&str, &[&str]); 5] = [
    (
        "cache",
        &[
            "id",
            "name",
            "keypair",
            "CASE WHEN is_public THEN 'true' ELSE 'false' END",
            "store_dir",
            "priority",
            "upstream_cache_key_names",
            "created_at",
            "deleted_at",
            "retention_period",
        ],
    ),
    ("nar", &["id", "state", "nar_hash", "nar_size", "compression", "num_chunks", "holders_count", "created_at"]),
    (
        "object",
        &[
            "id",
            "cache_id",
            "nar_id",
            "store_path_hash",
            "store_path",
            "\"references\"",
            "system",
            "deriver",
            "sigs",
            "ca",
            "created_at",
            "last_accessed_at",
            "created_by",
        ],
    ),
    (
        "chunk",
        &[
            "id",
            "state",
            "chunk_hash",
            "chunk_size",
            "file_hash",
            "file_size",
            "compression",
            "remote_file",
            "remote_file_id",
            "holders_count",
            "created_at",
        ],
    ),
    ("chunkref", &["id", "nar_id", "seq", "chunk_id"]),
];

/// As sea-orm writes a time on SQLite.
const NOW: &str = "2026-06-30 12:34:56.123456 +00:00";

pub(super) struct AtticFixture {
    folder: PathBuf,
    database: SqliteConnection,
    chunks: Chunks,
}

/// Where the chunks are.
pub(super) enum Chunks {
    /// In a folder.
    Folder(PathBuf),
    /// At a service, in the bucket that every one for tests has.
    Bucket(S3Storage),
}

impl Chunks {
    pub(super) async fn bucket(endpoint: String) -> Self {
        let login = Login::Keys { id: ACCESS_KEY_ID.to_owned(), secret: SECRET_ACCESS_KEY.to_owned() };
        Self::Bucket(S3Storage::new(Options { login, ..Options::new(BUCKET, REGION, Some(endpoint)) }).await)
    }

    /// Attic's two columns that name a file.
    fn columns(&self, name: &str) -> (String, String) {
        match self {
            Self::Folder(_) => (format!(r#"{{"Local":{{"name":"{name}"}}}}"#), format!("local:{name}")),
            Self::Bucket(_) => (
                format!(r#"{{"S3":{{"region":"{REGION}","bucket":"{BUCKET}","key":"{name}"}}}}"#),
                format!("s3:{REGION}/{BUCKET}/{name}"),
            ),
        }
    }

    /// Attic's `[storage]`.
    fn config(&self) -> String {
        match self {
            Self::Folder(folder) => format!("type = \"local\"\npath = {folder:?}\n"),
            Self::Bucket(storage) => format!(
                "type = \"s3\"\nregion = \"{REGION}\"\nbucket = \"{BUCKET}\"\nendpoint = \"{}\"\n[storage.credentials]\n\
                 access_key_id = \"{ACCESS_KEY_ID}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n",
                storage.options().endpoint.as_deref().unwrap()
            ),
        }
    }

    fn file(folder: &Path, name: &str) -> PathBuf {
        folder.join(&name[..1]).join(&name[..2]).join(name)
    }

    pub(super) async fn write(&self, name: &str, bytes: Vec<u8>) {
        match self {
            Self::Folder(folder) => {
                let file = Self::file(folder, name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, bytes).unwrap();
            }
            Self::Bucket(storage) => storage.put(&name.parse().unwrap(), bytes.into()).await.unwrap(),
        }
    }

    pub(super) async fn read(&self, name: &str) -> Vec<u8> {
        match self {
            Self::Folder(folder) => fs::read(Self::file(folder, name)).unwrap(),
            Self::Bucket(storage) => {
                let pieces = storage.stream_object(&name.parse().unwrap()).await.unwrap();
                pieces.try_collect::<Vec<_>>().await.unwrap().concat()
            }
        }
    }

    pub(super) async fn remove(&self, name: &str) {
        match self {
            Self::Folder(folder) => fs::remove_file(Self::file(folder, name)).unwrap(),
            Self::Bucket(storage) => storage.delete(&name.parse().unwrap()).await.unwrap(),
        }
    }

    /// Every object of the bucket.
    async fn objects(&self) -> Vec<String> {
        match self {
            Self::Folder(_) => Vec::new(),
            Self::Bucket(storage) => storage.list("").map_ok(|(key, _)| key.to_string()).try_collect().await.unwrap(),
        }
    }
}

/// A path as its row has it.
pub(super) struct Object<'a> {
    pub(super) path: &'a str,
    pub(super) references: &'a [String],
    pub(super) nar: i64,
}

impl AtticFixture {
    /// A deployment with its chunks in its folder.
    pub(super) async fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder.join("storage")).unwrap();
        fs::write(folder.join("storage/VERSION"), "1").unwrap();
        Self::with(folder, Chunks::Folder(folder.join("storage"))).await
    }

    pub(super) async fn with(folder: &Path, chunks: Chunks) -> Self {
        fs::create_dir_all(folder).unwrap();
        let options = SqliteConnectOptions::new().filename(folder.join("server.db")).create_if_missing(true);
        let mut database = options.journal_mode(SqliteJournalMode::Delete).connect().await.unwrap();
        sqlx::raw_sql(SCHEMA).execute(&mut database).await.unwrap();
        let fixture = Self { folder: folder.to_owned(), database, chunks };
        fixture.write_config(&format!("sqlite://{}?mode=rwc", folder.join("server.db").display()));
        fixture
    }

    fn write_config(&self, database: &str) {
        fs::write(
            self.folder.join("server.toml"),
            format!(
                "listen = \"[::]:8080\"\n[database]\nurl = \"{database}\"\n[storage]\n{}\
                 [chunking]\nnar-size-threshold = 65536\nmin-size = 16384\navg-size = 65536\nmax-size = 262144\n\
                 [compression]\ntype = \"zstd\"\n[garbage-collection]\ninterval = \"12 hours\"\n\
                 [jwt.signing]\ntoken-hs256-secret-base64 = \"c2VjcmV0\"\n",
                self.chunks.config()
            ),
        )
        .unwrap();
    }

    /// Moves the rows to PostgreSQL.
    pub(super) async fn move_to(&mut self, database: &scratch::Database) {
        let schema = POSTGRES.iter().fold(SCHEMA.to_owned(), |schema, (here, there)| schema.replace(here, there));
        database.ask(&schema);
        for (table, columns) in TABLES {
            let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
            let statement = format!("SELECT {} FROM {table}", quoted.join(" || ',' || "));
            let statement = sqlx::AssertSqlSafe(statement);
            let rows: Vec<(String,)> = sqlx::query_as(statement).fetch_all(&mut self.database).await.unwrap();
            for rows in rows.chunks(50) {
                let rows: Vec<String> = rows.iter().map(|(row,)| format!("({row})")).collect();
                database.ask(&format!("INSERT INTO {table} VALUES {}", rows.join(",")));
            }
        }
        self.write_config(&database.url());
    }

    pub(super) fn config(&self) -> String {
        self.folder.join("server.toml").to_str().unwrap().to_owned()
    }

    pub(super) async fn cache(&mut self, name: &str, key: &SecretKey, is_public: bool, is_deleted: bool) -> i64 {
        let statement = "INSERT INTO cache (name, keypair, is_public, store_dir, priority, upstream_cache_key_names, created_at, \
                         deleted_at, retention_period) VALUES ($1, $2, $3, '/nix/store', 37, $4, $5, $6, 2592000)";
        let upstream = r#"["cache.nixos.org-1"]"#;
        let done = sqlx::query(statement).bind(name).bind(key.to_text()).bind(is_public).bind(upstream).bind(NOW);
        done.bind(is_deleted.then_some(NOW)).execute(&mut self.database).await.unwrap().last_insert_rowid()
    }

    /// A NAR in chunks of `chunk_bytes`; in the state of one whose upload has ended, or not.
    pub(super) async fn nar(&mut self, nar: &[u8], compression: Compression, chunk_bytes: usize, state: &str) -> i64 {
        let pieces: Vec<&[u8]> = nar.chunks(chunk_bytes).collect();
        let statement = "INSERT INTO nar (state, nar_hash, nar_size, compression, num_chunks, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
        let hash = format!("sha256:{}", NarHash::digest_of(nar).hex());
        let size = i64::try_from(nar.len()).unwrap();
        let count = i64::try_from(pieces.len()).unwrap();
        let done = sqlx::query(statement).bind(state).bind(hash).bind(size).bind(compression.to_string()).bind(count);
        let id = done.bind(NOW).execute(&mut self.database).await.unwrap().last_insert_rowid();
        for (seq, piece) in (0_i64..).zip(pieces) {
            let chunk = self.chunk(piece, compression).await;
            let statement = "INSERT INTO chunkref (nar_id, seq, chunk_id) VALUES ($1, $2, $3)";
            sqlx::query(statement).bind(id).bind(seq).bind(chunk).execute(&mut self.database).await.unwrap();
        }
        id
    }

    async fn chunk(&mut self, piece: &[u8], compression: Compression) -> i64 {
        let sha256 = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
        let file = compress(compression, piece).await;
        let random = sha256(&[&file[..], &id_bytes(&mut self.database).await].concat());
        let name = format!(
            "{}-{}-4{}-8{}-{}.chunk",
            &random[..8],
            &random[8..12],
            &random[12..15],
            &random[15..18],
            &random[18..30]
        );
        let (file_size, file_hash) = (i64::try_from(file.len()).unwrap(), sha256(&file));
        let (remote_file, remote_file_id) = self.chunks.columns(&name);
        self.chunks.write(&name, file).await;
        let statement = "INSERT INTO chunk (state, chunk_hash, chunk_size, file_hash, file_size, compression, remote_file, \
                         remote_file_id, created_at) VALUES ('V', $1, $2, $3, $4, $5, $6, $7, $8)";
        let done = sqlx::query(statement)
            .bind(format!("sha256:{}", sha256(piece)))
            .bind(i64::try_from(piece.len()).unwrap())
            .bind(format!("sha256:{file_hash}"))
            .bind(file_size)
            .bind(compression.to_string())
            .bind(remote_file)
            .bind(remote_file_id)
            .bind(NOW);
        done.execute(&mut self.database).await.unwrap().last_insert_rowid()
    }

    pub(super) async fn object(&mut self, cache: i64, object: &Object<'_>) {
        let statement = "INSERT INTO object (cache_id, nar_id, store_path_hash, store_path, \"references\", deriver, sigs, ca, \
                         created_at, created_by) VALUES ($1, $2, $3, $4, $5, NULL, '[]', NULL, $6, 'ci')";
        let name = object.path.rsplit('/').next().unwrap();
        let hash = name.get(..32).unwrap_or(name);
        let references = serde_json::to_string(object.references).unwrap();
        let done = sqlx::query(statement).bind(cache).bind(object.nar).bind(hash).bind(object.path);
        done.bind(references).bind(NOW).execute(&mut self.database).await.unwrap();
    }

    pub(super) async fn execute(&mut self, statement: &'static str, nar: i64) {
        sqlx::query(statement).bind(nar).execute(&mut self.database).await.unwrap();
    }

    pub(super) fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// The names of the chunks of a NAR.
    pub(super) async fn names(&mut self, nar: i64) -> Vec<String> {
        let statement = "SELECT chunk.remote_file_id FROM chunk JOIN chunkref ON chunkref.chunk_id = chunk.id WHERE nar_id = $1 ORDER BY seq";
        let names: Vec<(String,)> = sqlx::query_as(statement).bind(nar).fetch_all(&mut self.database).await.unwrap();
        names.iter().map(|(id,)| id.rsplit([':', '/']).next().unwrap().to_owned()).collect()
    }

    /// The deployment, once nobody has it open.
    pub(super) async fn close(self) -> Deployment {
        self.database.close().await.unwrap();
        Deployment { folder: self.folder, chunks: self.chunks }
    }
}

/// A number that no other chunk had.
async fn id_bytes(database: &mut SqliteConnection) -> [u8; 8] {
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM chunk").fetch_one(database).await.unwrap();
    count.to_le_bytes()
}

pub(super) struct Deployment {
    folder: PathBuf,
    chunks: Chunks,
}

impl Deployment {
    /// Every file and object with its hash.
    pub(super) async fn contents(&self) -> Vec<(PathBuf, String)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    let hash = blake3::hash(&fs::read(&path).unwrap()).to_string();
                    found.push((path, hash));
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.folder, &mut found);
        for name in self.chunks.objects().await {
            let hash = blake3::hash(&self.chunks.read(&name).await).to_string();
            found.push((name.into(), hash));
        }
        found.sort_unstable();
        found
    }
}
