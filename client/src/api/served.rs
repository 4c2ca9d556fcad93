//! What Nix would be served, fetched to be looked at.

use bytes::Bytes;
use formats::{MAX_NARINFO_BYTES, StorePathHash};
use reqwest::{Method, StatusCode, header};

use super::{Api, ApiError, Refusal, Repeat};

impl Api {
    /// The narinfo of a path in `place`, which is a cache or a view; nothing if there is none.
    ///
    /// # Errors
    /// Not allowed, or the server cannot be reached.
    pub async fn narinfo(&self, place: &str, hash: &StorePathHash) -> Result<Option<Vec<u8>>, ApiError> {
        let url = self.url_of([place, &format!("{hash}.narinfo")]);
        match self.send_small(&Method::GET, &url, None, Repeat::Freely).await {
            Ok(text) if text.len() > MAX_NARINFO_BYTES => Err(ApiError::AnswerTooLong { url }),
            Ok(text) => Ok(Some(text)),
            Err(ApiError::Refused(refusal)) if refusal.status == StatusCode::NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands a file of `place` to `take`, piece by piece, until that says `false`.
    ///
    /// # Errors
    /// There is no such file, not allowed, cut off, or standing still for longer than the stall timeout.
    pub async fn download(&self, place: &str, file: &str, mut take: impl FnMut(Bytes) -> bool) -> Result<(), ApiError> {
        let url = self.url_of([place].into_iter().chain(file.split('/')));
        let failed = |source| ApiError::transport(&self.settings.endpoint, source);
        let limit = self.settings.stall_timeout;
        let stalled = |_| ApiError::Stalled { url: url.clone(), limit };
        let request = self.http.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
        let request = self.login.authorize(request).await;
        self.traffic.request();
        let sent = tokio::time::timeout(limit, request.send()).await.map_err(stalled)?;
        let mut response = sent.map_err(failed)?;
        if response.status() != StatusCode::OK {
            let refusal = Refusal::new(url.clone(), response.status(), response.headers(), b"");
            return Err(ApiError::Refused(Box::new(refusal)));
        }
        while let Some(piece) = tokio::time::timeout(limit, response.chunk()).await.map_err(stalled)?.map_err(failed)? {
            if !take(piece) {
                break;
            }
        }
        Ok(())
    }
}
