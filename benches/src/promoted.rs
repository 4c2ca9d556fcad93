//! A closure on its way to being promoted: pushed, claimed, verified, tagged, as a builder and a promoter do it over the API.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use formats::{Derivation, NarHash, OutputPath, StoreDir, StorePath, nar::Writer};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// A policy by which whatever is whole is clean, whoever built it and whatever is in it; all of it is read and looked through all
/// the same.
pub const POLICY: &str = "version = \"bench\"\n[source]\nrequire-flake = false\n[evaluation]\nrequire-pure = false\n\
                          [content]\ndeny-names = []\nallow-secrets-in = [\"*\"]\nallow-mentions-in = [\"*\"]\n\
                          [corroboration]\npublic-builders = 1\n[class]\nallow-without-attribute = true\n";

/// How often it is asked whether a claim has been verified.
const INTERVAL: Duration = Duration::from_millis(10);

/// A connection to the cache `main` of a server that promotes by [`POLICY`].
#[derive(Debug)]
pub struct Promoting {
    http: Client,
    server: String,
    token: String,
}

/// An output that was pushed, and the derivation that it follows from.
#[derive(Debug)]
pub struct Root {
    /// The output.
    pub path: StorePath,
    nar_hash: NarHash,
    derivation: StorePath,
}

impl Promoting {
    /// Connects with a token that may pull, push and promote.
    ///
    /// # Errors
    /// HTTP cannot be set up.
    pub fn at(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let http = Client::builder().no_proxy().build()?;
        Ok(Self { http, server: format!("http://{address}"), token: token.to_owned() })
    }

    /// Pushes a path.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn push(&self, path: &StorePath, references: &[StorePath], nar: &[u8]) -> anyhow::Result<NarHash> {
        let nar_hash = NarHash::digest_of(nar);
        let about = json!({
            "cache": "main",
            "store_path_hash": path.hash(),
            "store_path": StoreDir::default().join(path),
            "references": references,
            "nar_hash": nar_hash,
            "nar_size": nar.len(),
        });
        // With many references it would be too much for a header.
        let about = about.to_string();
        let request = self.request(Method::PUT, "/_api/v1/upload-path");
        let request = request.header("X-Attic-Nar-Info-Preamble-Size", about.len());
        done(request.body([about.as_bytes(), nar].concat())).await?;
        Ok(nar_hash)
    }

    /// Pushes an output that refers to `references`, and the derivation that it follows from.
    ///
    /// # Errors
    /// The server does not take them.
    pub async fn push_root(&self, references: &[StorePath]) -> anyhow::Result<Root> {
        let store_dir = StoreDir::default();
        let name = "closure-1.0";
        let text = |output: &str| {
            let environment = format!("[(\"name\",\"{name}\"),(\"out\",\"{output}\")]");
            format!("Derive([(\"out\",\"{output}\",\"\",\"\")],[],[],\"x86_64-linux\",\"/bin/sh\",[],{environment})")
        };
        let drv_name = format!("{name}.drv").parse()?;
        // The output's path follows from all but itself.
        let open = Derivation::parse(&store_dir, text("/nix/store/00000000000000000000000000000000-x").as_bytes())?;
        let outputs = open.output_paths(&store_dir, &drv_name, |_| None)?;
        let Some(OutputPath::Known(path)) = outputs.get(&"out".parse()?).cloned() else {
            anyhow::bail!("the derivation has no output");
        };
        let text = text(&store_dir.join(&path));
        let derivation = Derivation::parse(&store_dir, text.as_bytes())?.store_path(&store_dir, &drv_name)?;
        let nar_hash = self.push(&path, references, &nar(b"the root\n")).await?;
        let evidence = format!("{derivation} {}\n{text}", text.len());
        done(self.api(Method::POST, "evidence").body(evidence)).await?;
        Ok(Root { path, nar_hash, derivation })
    }

    /// Claims an output; the claim's number.
    ///
    /// # Errors
    /// The server does not take the claim.
    pub async fn claim(&self, root: &Root) -> anyhow::Result<i64> {
        let claim = json!({
            "system": "x86_64-linux",
            "derivation": root.derivation,
            "outputs": { "out": { "path": root.path, "nar_hash": root.nar_hash } },
        });
        let filed = done(self.api(Method::POST, "claims").json(&claim)).await?;
        filed["id"].as_i64().context("a claim has a number")
    }

    /// Has a claim verified again.
    ///
    /// # Errors
    /// There is none of that number.
    pub async fn verify_again(&self, claim: i64) -> anyhow::Result<()> {
        done(self.api(Method::POST, &format!("claims/{claim}/verify"))).await.map(drop)
    }

    /// Waits until a claim was found clean.
    ///
    /// # Errors
    /// It was not.
    pub async fn clean(&self, claim: i64) -> anyhow::Result<()> {
        loop {
            let answer = done(self.api(Method::GET, &format!("claims/{claim}"))).await?;
            match answer["state"].as_str() {
                Some("clean") => return Ok(()),
                Some("filed" | "verifying") => tokio::time::sleep(INTERVAL).await,
                _ => anyhow::bail!("the claim is not clean: {answer:#}"),
            }
        }
    }

    /// Makes a public tag that points at a claim.
    ///
    /// # Errors
    /// There is one already.
    pub async fn tag(&self, tag: &str, claim: i64) -> anyhow::Result<()> {
        let wanted = json!({ "claims": [claim], "kind": "channel", "visibility": "public", "expected": 0 });
        done(self.api(Method::PUT, &format!("tags/{tag}")).json(&wanted)).await.map(drop)
    }

    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("/_flywheel/v1/caches/main/{path}"))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server)).bearer_auth(&self.token)
    }
}

async fn done(request: RequestBuilder) -> anyhow::Result<Value> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{status}: {text}");
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// A NAR of one file.
#[must_use]
pub fn nar(contents: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin();
    writer.regular_begin(false, contents.len() as u64);
    writer.contents(contents);
    writer.regular_end(contents.len() as u64);
    writer.take()
}
