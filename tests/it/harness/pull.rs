//! Reading back, as suspiciously as Nix does.

use async_compression::tokio::bufread as decode;
use formats::{Compression, NarHash, NarInfo, PublicKey, StoreDir};
use tokio::io::{AsyncReadExt, BufReader};

use super::{Http, TestPath};

/// What a cache answered when it was asked for a path.
#[derive(Debug)]
pub(crate) enum Pulled {
    /// 404 to the narinfo.
    Absent,
    /// The narinfo is there and signed, and the NAR is there, whole and what the narinfo says.
    Whole(Box<NarInfo>),
    /// Anything else, which a cache must never answer.
    Broken(String),
}

impl Pulled {
    /// The narinfo of a path that must be there.
    #[track_caller]
    pub(crate) fn whole(self) -> NarInfo {
        match self {
            Self::Whole(narinfo) => *narinfo,
            other => panic!("not whole: {other:?}"),
        }
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl Http {
    /// The public keys of a cache.
    pub(crate) async fn public_key(&self, cache: &str) -> PublicKey {
        let config = self.get(&format!("/_api/v1/cache-config/{cache}")).await.expect(200).json();
        config["public_key"].as_str().unwrap().parse().unwrap()
    }

    /// Looks a path up by its hash part, and if it is there reads its NAR and checks all that is said of it.
    pub(crate) async fn pull(&self, cache: &str, hash: &str, key: &PublicKey) -> Pulled {
        let answer = self.get(&format!("/{cache}/{hash}.narinfo")).await;
        match answer.status.as_u16() {
            200 => {}
            404 => return Pulled::Absent,
            status => return Pulled::Broken(format!("narinfo of {hash}: {status}: {}", answer.text())),
        }
        match self.check(cache, hash, &answer.text(), key).await {
            Ok(narinfo) => Pulled::Whole(Box::new(narinfo)),
            Err(why) => Pulled::Broken(format!("{hash}: {why}")),
        }
    }

    /// Pulls a path that must be there as it was pushed.
    pub(crate) async fn pull_same(&self, cache: &str, path: &TestPath, key: &PublicKey) -> NarInfo {
        let narinfo = self.pull(cache, &path.hash(), key).await.whole();
        assert_eq!(narinfo.info.path, path.info.path);
        assert_eq!((narinfo.info.nar_hash, narinfo.info.nar_size), (path.info.nar_hash, path.info.nar_size));
        assert_eq!(narinfo.info.references, path.info.references);
        narinfo
    }

    async fn check(&self, cache: &str, hash: &str, narinfo: &str, key: &PublicKey) -> Result<NarInfo, String> {
        let store_dir = StoreDir::default();
        let narinfo = NarInfo::parse(&store_dir, narinfo).map_err(|error| error.to_string())?;
        let info = &narinfo.info;
        if info.path.hash().to_string() != hash {
            return Err(format!("the narinfo is that of {}", info.path));
        }
        if !info.is_signed_by(&store_dir, [key]) {
            return Err("the narinfo is not signed by the cache".to_owned());
        }
        let answer = self.get(&format!("/{cache}/{}", narinfo.url)).await;
        if answer.status.as_u16() != 200 {
            return Err(format!("the NAR answers {}: {}", answer.status, answer.text()));
        }
        if narinfo.file_size.is_some_and(|size| size != answer.body.len() as u64) {
            return Err(format!("the file has {} bytes and not {:?}", answer.body.len(), narinfo.file_size));
        }
        if narinfo.file_hash.is_some_and(|hash| hash != formats::FileHash::digest_of(&answer.body)) {
            return Err("the file has another hash".to_owned());
        }
        let nar = decompress(narinfo.compression, &answer.body).await.map_err(|error| error.to_string())?;
        if nar.len() as u64 != info.nar_size || NarHash::digest_of(&nar) != info.nar_hash {
            return Err(format!("the NAR has {} bytes, and another hash or size than it should", nar.len()));
        }
        Ok(narinfo)
    }
}

/// Undoes a compression by its name in a narinfo.
pub(crate) async fn decompress(compression: Compression, file: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut nar = Vec::new();
    match compression {
        Compression::None => nar.extend_from_slice(file),
        // The cache joins frames.
        Compression::Zstd => nar = zstd::decode_all(file)?,
        Compression::Xz => _ = decode::XzDecoder::new(BufReader::new(file)).read_to_end(&mut nar).await?,
        Compression::Bzip2 => _ = decode::BzDecoder::new(BufReader::new(file)).read_to_end(&mut nar).await?,
        Compression::Gzip => _ = decode::GzipDecoder::new(BufReader::new(file)).read_to_end(&mut nar).await?,
        Compression::Brotli => _ = decode::BrotliDecoder::new(BufReader::new(file)).read_to_end(&mut nar).await?,
    }
    Ok(nar)
}

/// Compresses as `nix copy --to …?compression=` would.
pub(crate) async fn compress(compression: Compression, nar: &[u8]) -> Vec<u8> {
    use async_compression::tokio::bufread as encode;
    let mut file = Vec::new();
    let read = match compression {
        Compression::None => {
            file.extend_from_slice(nar);
            Ok(0)
        }
        Compression::Zstd => encode::ZstdEncoder::new(nar).read_to_end(&mut file).await,
        Compression::Xz => encode::XzEncoder::new(nar).read_to_end(&mut file).await,
        Compression::Bzip2 => encode::BzEncoder::new(nar).read_to_end(&mut file).await,
        Compression::Gzip => encode::GzipEncoder::new(nar).read_to_end(&mut file).await,
        Compression::Brotli => encode::BrotliEncoder::new(nar).read_to_end(&mut file).await,
    };
    read.unwrap();
    file
}
