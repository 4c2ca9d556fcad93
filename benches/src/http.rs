//! The least HTTP client that can load a server: what it costs itself is taken from the server on the same machine.

use std::{io, net::SocketAddr, time::Instant};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// As much of a body as is looked at at once, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Where a cache is served: `http://HOST:PORT/PREFIX`.
#[derive(Debug, Clone)]
pub struct Base {
    /// Where to connect to.
    pub address: SocketAddr,
    host: String,
    prefix: String,
}

impl Base {
    /// Reads the URL, and looks the host up.
    ///
    /// # Errors
    /// It is not plain HTTP, or the host is not known.
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").with_context(|| format!("{url} is not plain HTTP"))?;
        let (host, prefix) = rest.split_once('/').map_or((rest, ""), |(host, prefix)| (host, prefix));
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let mut addresses = std::net::ToSocketAddrs::to_socket_addrs(&with_port)?;
        let address = addresses.next().with_context(|| format!("{host} has no address"))?;
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Self { address, host: host.to_owned(), prefix })
    }

    /// The URL again.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.host, self.prefix)
    }

    /// A request for `path`, which is relative to the base, with `headers`, each ending in CR LF.
    #[must_use]
    pub fn get(&self, path: &str, headers: &str) -> Vec<u8> {
        format!("GET {}/{path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.prefix, self.host).into_bytes()
    }

    /// A request that posts JSON to `path` of the server, not of the base.
    #[must_use]
    pub fn post(&self, path: &str, token: &str, json: &str) -> Vec<u8> {
        let length = json.len();
        format!(
            "POST /{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{json}",
            self.host
        )
        .into_bytes()
    }
}

/// What came for a request.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The length of the body, in bytes.
    pub bytes: u64,
    /// Seconds until the first byte of the body, or the end of the head if there is no body.
    pub first_byte: f64,
    /// Seconds until the last.
    pub whole: f64,
}

/// A connection that is used again and again.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::with_capacity(BUFFER_BYTES, stream)))
    }

    /// Sends a request, and hands the body to `body`.
    ///
    /// # Errors
    /// The connection ends, or what comes is no HTTP.
    pub async fn ask(&mut self, request: &[u8], mut body: impl FnMut(&[u8])) -> anyhow::Result<Answer> {
        let started = Instant::now();
        self.0.get_mut().write_all(request).await?;
        let head = self.head().await?;
        let mut first_byte = None;
        let mut bytes = 0;
        let mut seen = |piece: &[u8]| {
            first_byte.get_or_insert_with(|| started.elapsed());
            body(piece);
        };
        match head.length {
            Some(length) => self.body(length, &mut bytes, &mut seen).await?,
            None => loop {
                let size = self.line().await?;
                let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
                self.body(size, &mut bytes, &mut seen).await?;
                self.line().await?;
                if size == 0 {
                    break;
                }
            },
        }
        let whole = started.elapsed();
        let first_byte = first_byte.unwrap_or(whole).as_secs_f64();
        Ok(Answer { status: head.status, bytes, first_byte, whole: whole.as_secs_f64() })
    }

    async fn body(&mut self, length: u64, bytes: &mut u64, seen: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut left = usize::try_from(length)?;
        while left > 0 {
            let piece = self.0.fill_buf().await?;
            anyhow::ensure!(!piece.is_empty(), "the body is cut off, {left} bytes are missing");
            let length = piece.len().min(left);
            seen(&piece[..length]);
            self.0.consume(length);
            left -= length;
        }
        *bytes += length;
        Ok(())
    }

    async fn head(&mut self) -> anyhow::Result<Head> {
        let status = self.line().await?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status line")?;
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.trim().parse()?),
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        anyhow::ensure!(chunked || length.is_some(), "an answer without a length");
        Ok(Head { status, length: if chunked { None } else { length } })
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        anyhow::ensure!(self.0.read_line(&mut line).await? > 0, "the connection was closed");
        Ok(line.trim_end().to_owned())
    }
}

struct Head {
    status: u16,
    /// None if it is chunked.
    length: Option<u64>,
}
