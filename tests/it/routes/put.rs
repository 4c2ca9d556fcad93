//! `PUT /{cache}/…`: what `nix copy --to http://…` sends.

mod access;
mod bad_nar;
mod bad_narinfo;
mod encoding;

use formats::{Compression, FileHash, NarInfo, SecretKey, StoreDir};

use super::{
    said::said,
    world::{create_cache, narinfo},
};
use crate::harness::{Answer, Http, Node, Seed, Server, TestPath, compress, decompress};

/// A path as Nix puts it: a NAR file, and then the narinfo that names it.
struct Put {
    path: TestPath,
    file: Vec<u8>,
    narinfo: NarInfo,
}

impl Put {
    async fn new(path: TestPath, compression: Compression) -> Self {
        let file = compress(compression, &path.nar).await;
        let file_hash = FileHash::digest_of(&file);
        let narinfo = NarInfo {
            info: path.info.clone(),
            url: format!("nar/{}.nar{}", file_hash.nix32(), compression.suffix()),
            compression,
            file_hash: Some(file_hash),
            file_size: Some(file.len() as u64),
            extra: Vec::new(),
        };
        Self { path, file, narinfo }
    }

    async fn small(label: &str) -> Self {
        Self::new(TestPath::small(label), Compression::Xz).await
    }

    fn nar_url(&self, cache: &str) -> String {
        format!("/{cache}/{}", self.narinfo.url)
    }

    fn narinfo_url(&self, cache: &str) -> String {
        format!("/{cache}/{}.narinfo", self.path.hash())
    }

    async fn put_nar(&self, http: &Http, cache: &str) -> Answer {
        http.put(&self.nar_url(cache), self.file.clone()).await
    }

    async fn put_narinfo(&self, http: &Http, cache: &str) -> Answer {
        http.put(&self.narinfo_url(cache), self.text()).await
    }

    fn text(&self) -> String {
        self.narinfo.render(&StoreDir::default())
    }
}

#[tokio::test]
async fn first_the_nar_then_its_narinfo() {
    let server = Server::new();
    let (admin, anybody) = (server.admin(), server.http());
    let key = anybody.public_key("main").await;
    for compression in Compression::ALL {
        let put = Put::new(TestPath::small(compression.name()), compression).await;
        assert_eq!(anybody.head(&put.nar_url("main")).await.status, 404, "{compression}");
        let stored = put.put_nar(&admin, "main").await;
        assert_eq!((stored.status.as_u16(), stored.text().as_str()), (200, ""), "Nix takes 200, 201 and 204 only");
        assert_eq!(said(&anybody.head(&put.nar_url("main")).await), "200", "Nix asks whether it is to send the NAR");
        let early = anybody.get(&put.narinfo_url("main")).await;
        assert_eq!(said(&early), "404 NoSuchObject", "a path is there when its narinfo is");
        let stored = put.put_narinfo(&admin, "main").await;
        assert_eq!((stored.status.as_u16(), stored.text().as_str()), (200, ""));
        anybody.pull_same("main", &put.path, &key).await;
    }
}

/// Whoever put it keeps its own narinfo, with its own URL, for a month.
#[tokio::test]
async fn a_nar_stays_under_the_name_by_which_it_was_put() {
    let server = Server::new();
    let admin = server.admin();
    let large = TestPath::new("large", &Node::small_files(&mut Seed::new(5, "large"), 300));
    for compression in Compression::ALL {
        for path in [TestPath::small(compression.name()), large.clone()] {
            let put = Put::new(path, compression).await;
            put.put_nar(&admin, "main").await.expect(200);
            put.put_narinfo(&admin, "main").await.expect(200);
            let served = server.http().get(&put.nar_url("main")).await.expect(200);
            assert_eq!(decompress(compression, &served.body).await.unwrap(), put.path.nar, "{compression}");
            assert_eq!(served.header("content-type"), "application/x-nix-nar");
            assert_eq!(served.header("content-encoding"), "");
        }
    }
}

#[tokio::test]
async fn what_is_said_of_an_uploaded_nar_is_true() {
    let server = Server::new();
    let admin = server.admin();
    for compression in [Compression::None, Compression::Xz] {
        let put = Put::new(TestPath::small(compression.name()), compression).await;
        put.put_nar(&admin, "main").await.expect(200);
        let head = server.http().head(&put.nar_url("main")).await.expect(200);
        let get = server.http().get(&put.nar_url("main")).await.expect(200);
        // It may not be known how long it will be, but then no length is told.
        let told = head.header("content-length");
        assert!(told.is_empty() || told == get.body.len().to_string(), "{compression}: {told}");
        assert_eq!(head.header("content-length"), get.header("content-length"));
    }
}

#[tokio::test]
async fn a_nar_may_have_a_name_that_is_no_hash() {
    let server = Server::new();
    let admin = server.admin();
    let mut put = Put::small("a").await;
    put.narinfo.url = "nar/0abc.nar.xz".to_owned();
    put.put_nar(&admin, "main").await.expect(200);
    put.put_narinfo(&admin, "main").await.expect(200);
    admin.pull_same("main", &put.path, &admin.public_key("main").await).await;
}

#[tokio::test]
async fn a_narinfo_waits_for_its_nar() {
    let server = Server::new();
    let admin = server.admin();
    create_cache(&admin, "other", true).await;
    let put = Put::small("a").await;
    assert_eq!(said(&put.put_narinfo(&admin, "main").await), "409 NarNotUploaded");
    put.put_nar(&admin, "other").await.expect(200);
    let elsewhere = put.put_narinfo(&admin, "main").await;
    assert_eq!(said(&elsewhere), "409 NarNotUploaded", "what another cache has must be sent to this one too");
    assert_eq!(said(&admin.get(&put.narinfo_url("main")).await), "404 NoSuchObject");
    put.put_nar(&admin, "main").await.expect(200);
    put.put_narinfo(&admin, "main").await.expect(200);
}

#[tokio::test]
async fn signatures_of_clients_are_kept_beside_the_servers_own() {
    let server = Server::new();
    let admin = server.admin();
    let builder = SecretKey::generate("builder-1".parse().unwrap(), [1; 32]);
    let mut put = Put::small("a").await;
    put.narinfo.info.sign(&StoreDir::default(), &builder);
    put.narinfo.extra = vec![("Provenance".to_owned(), r#"{"type": "x"}  y"#.to_owned())];
    put.put_nar(&admin, "main").await.expect(200);
    put.put_narinfo(&admin, "main").await.expect(200);
    let served = narinfo(&admin, "main", &put.path).await;
    for key in [builder.public_key(), admin.public_key("main").await] {
        assert!(served.info.is_signed_by(&StoreDir::default(), [&key]), "{served:?}");
    }
    assert_eq!(served.extra, put.narinfo.extra, "keys that Nix does not know are kept as they came");
}

/// `nix store sign --store …` reads the narinfo, adds a line, and puts it back.
#[tokio::test]
async fn a_narinfo_can_be_put_back_with_one_more_signature() {
    let server = Server::new();
    let admin = server.admin();
    let path = TestPath::small("a");
    admin.upload("main", &path).await.expect(200);
    for name in ["first", "second"] {
        let key = SecretKey::generate(name.parse().unwrap(), [2; 32]);
        let mut signed = narinfo(&admin, "main", &path).await;
        signed.info.sign(&StoreDir::default(), &key);
        let url = format!("/main/{}.narinfo", path.hash());
        admin.put(&url, signed.render(&StoreDir::default())).await.expect(200);
        let served = narinfo(&admin, "main", &path).await;
        assert_eq!(served.info.signatures, signed.info.signatures, "{name}");
        assert_eq!(served.url, signed.url);
    }
}

#[tokio::test]
async fn of_two_nars_put_for_one_path_the_first_stays() {
    let server = Server::new();
    let admin = server.admin();
    let (first, mut second) = (Put::small("first").await, Put::small("second").await);
    second.path.info.path = first.path.info.path.clone();
    second.narinfo.info.path = first.path.info.path.clone();
    for put in [&first, &second] {
        put.put_nar(&admin, "main").await.expect(200);
        put.put_narinfo(&admin, "main").await.expect(200);
    }
    admin.pull_same("main", &first.path, &admin.public_key("main").await).await;
    let metrics = admin.get("/metrics").await.text();
    assert!(metrics.contains("flywheel_divergent_pushes_total{cache=\"main\"} 1"), "{metrics}");
}

/// Hooks after a build copy overlapping closures at the same time.
#[tokio::test]
async fn one_path_can_be_put_many_times_at_once() {
    let server = Server::new();
    let admin = server.admin();
    let put = Put::new(TestPath::small("a"), Compression::Zstd).await;
    let one = || async {
        put.put_nar(&admin, "main").await.expect(200);
        put.put_narinfo(&admin, "main").await.expect(200);
    };
    futures::future::join_all((0..16).map(|_| one())).await;
    admin.pull_same("main", &put.path, &admin.public_key("main").await).await;
}

#[tokio::test]
async fn the_cache_info_is_there_and_can_only_be_confirmed() {
    let server = Server::new();
    let admin = server.admin();
    assert_eq!(said(&admin.put("/main/nix-cache-info", "StoreDir: /nix/store\n").await), "200");
    for bad in ["StoreDir: /gnu/store\n", "StoreDir: \n", "StoreDir: /nix/store\nPriority: high\n"] {
        assert_eq!(said(&admin.put("/main/nix-cache-info", bad).await), "400 RequestError", "{bad}");
    }
    let large = "StoreDir: /nix/store\n".repeat(10_000);
    assert_eq!(said(&admin.put("/main/nix-cache-info", large).await), "413 TooLarge");
    let info = admin.get("/main/nix-cache-info").await.expect(200).text();
    assert_eq!(info, "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n");
}

/// The default cache is at the root of the server, for writing too.
#[tokio::test]
async fn the_default_cache_is_put_to_at_the_root() {
    let server = Server::new();
    let admin = server.admin();
    let put = Put::small("a").await;
    admin.put(&format!("/{}", put.narinfo.url), put.file.clone()).await.expect(200);
    admin.put(&format!("/{}.narinfo", put.path.hash()), put.text()).await.expect(200);
    admin.pull_same("main", &put.path, &admin.public_key("main").await).await;
}
