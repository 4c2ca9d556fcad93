//! An issuer of identities, and a runner that hands them out.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How an issuer signs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Rs256,
    Es256,
}

/// What is wrong with an issuer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Away,
    Redirects,
    OtherName,
    KeysElsewhere,
    Endless,
    Garbage,
}

/// An issuer with one key, `1`, which serves until it is dropped.
pub(super) struct Issuer {
    url: String,
    kind: Kind,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    asked: AtomicUsize,
    stopped: AtomicBool,
    fault: Mutex<Option<Fault>>,
}

#[expect(clippy::disallowed_methods, reason = "the server has the clock of this machine")]
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Kind {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
        }
    }

    fn key(self, is_own: bool) -> EncodingKey {
        let rsa = |pem: &str| EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let ec = |pem: &str| EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        match (self, is_own) {
            (Self::Rs256, true) => rsa(include_str!("../testdata/rs256-one-for-tests-only.pem")),
            (Self::Rs256, false) => rsa(include_str!("../testdata/rs256-other-for-tests-only.pem")),
            (Self::Es256, true) => ec(include_str!("../testdata/es256-one-for-tests-only.pem")),
            (Self::Es256, false) => ec(include_str!("../testdata/es256-other-for-tests-only.pem")),
        }
    }

    /// The public key as the issuer publishes it.
    fn jwk(self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key(true), self.algorithm()).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        (jwk["kid"], jwk["use"], jwk["alg"]) = ("1".into(), "sig".into(), format!("{:?}", self.algorithm()).into());
        jwk
    }
}

impl Issuer {
    pub(super) async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let (own, heard) = (url.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if !heard.stopped.load(Ordering::Acquire) {
                    tokio::spawn(serve(stream, own.clone(), kind, Arc::clone(&heard)));
                }
            }
        });
        Self { url, kind, shared }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where a job asks for its identity.
    pub(super) fn runner(&self) -> String {
        format!("{}/runner?api-version=2.0", self.url)
    }

    /// How often it was asked for something about its keys.
    pub(super) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Acquire)
    }

    /// Answers nobody any more.
    pub(super) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
    }

    pub(super) fn fail(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = Some(fault);
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_as("1", claims)
    }

    pub(super) fn sign_as(&self, id: &str, claims: &Value) -> String {
        sign(self.kind, id, claims, true)
    }

    pub(super) fn sign_with_another_key(&self, claims: &Value) -> String {
        sign(self.kind, "1", claims, false)
    }

    /// With HS256, and what everybody knows as the secret.
    pub(super) fn sign_with_its_public_key(&self, claims: &Value) -> String {
        let secret = EncodingKey::from_secret(self.kind.jwk().to_string().as_bytes());
        let header = Header { kid: Some("1".to_owned()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, claims, &secret).unwrap()
    }
}

fn sign(kind: Kind, id: &str, claims: &Value, with_own_key: bool) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(kind.algorithm()) };
    // What is null is not said.
    let said: serde_json::Map<String, Value> =
        claims.as_object().unwrap().iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
    jsonwebtoken::encode(&header, &said, &kind.key(with_own_key)).unwrap()
}

async fn serve(mut stream: TcpStream, own: String, kind: Kind, shared: Arc<Shared>) {
    let mut head = Vec::new();
    let mut byte = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(read) if read > 0 => head.extend_from_slice(&byte[..read]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let ok =
        |body: String| format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    if let Some(query) = path.strip_prefix("/runner?") {
        assert!(head.to_ascii_lowercase().contains("authorization: bearer of-the-job"), "{head}");
        assert!(
            query.contains("api-version=2.0")
                && query.to_ascii_lowercase().contains("audience=https%3a%2f%2fcache.example.org"),
            "{query}"
        );
        let issuer = Issuer { url: own, kind, shared };
        let answer = json!({"value": issuer.sign(&super::job(&issuer))});
        let _ = stream.write_all(ok(answer.to_string()).as_bytes()).await;
        return;
    }
    shared.asked.fetch_add(1, Ordering::AcqRel);
    let fault = *shared.fault.lock().unwrap();
    let mut discovery = json!({"issuer": own, "jwks_uri": format!("{own}/keys"), "more": [1]});
    let answer = match (path, fault) {
        (_, Some(Fault::Away)) => return,
        (_, Some(Fault::Redirects)) => {
            format!("HTTP/1.1 302 Found\r\nlocation: {own}/keys\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        }
        (_, Some(Fault::Garbage)) => ok("<html>".to_owned()),
        (_, Some(Fault::Endless)) => ok(format!("[{}0]", "0,".repeat(200_000))),
        ("/.well-known/openid-configuration", fault) => {
            match fault {
                Some(Fault::OtherName) => discovery["issuer"] = "https://other.example.org".into(),
                Some(Fault::KeysElsewhere) => discovery["jwks_uri"] = "http://169.254.169.254/keys".into(),
                _ => {}
            }
            ok(discovery.to_string())
        }
        // Among keys that are of no use here.
        ("/keys", _) => {
            let odd = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "1"});
            let for_encryption = json!({"kty": "RSA", "use": "enc", "kid": "2", "n": "AQAB", "e": "AQAB"});
            ok(json!({"keys": [odd, {"kty": "unheard-of"}, for_encryption, kind.jwk()]}).to_string())
        }
        _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(answer.as_bytes()).await;
}
