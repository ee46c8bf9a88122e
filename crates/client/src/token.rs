//! Where tokens come from, and the one that is in use. Tokens are never shown,
//! not even by `Debug`.

use std::{error::Error as StdError, fmt, future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::error::Error;

type Refresh = dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync;

/// Gives the bearer token that says who the client is.
#[derive(Clone)]
pub struct TokenSource(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(Arc<str>),
    Refreshing(Arc<Refresh>),
}

impl TokenSource {
    /// One token for ever. When it expires, calls fail and streams end.
    pub fn fixed(token: impl Into<String>) -> Self {
        Self(Kind::Fixed(token.into().into()))
    }

    /// A function that is asked for the first token, and again whenever the
    /// server did not accept the last one.
    pub fn refreshing<F, Fut, E>(refresh: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: StdError + 'static,
    {
        Self(Kind::Refreshing(Arc::new(move || {
            let token = refresh();
            Box::pin(async move { token.await.map_err(|error| error.to_string()) })
        })))
    }
}

impl From<&str> for TokenSource {
    fn from(token: &str) -> Self {
        Self::fixed(token)
    }
}

impl From<String> for TokenSource {
    fn from(token: String) -> Self {
        Self::fixed(token)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Fixed(_) => "TokenSource::fixed(…)",
            Kind::Refreshing(_) => "TokenSource::refreshing(…)",
        })
    }
}

/// The token in use, shared by all calls and streams of a client.
#[derive(Debug)]
pub(crate) struct Tokens {
    source: Option<TokenSource>,
    current: Mutex<Option<Arc<str>>>,
}

impl Tokens {
    pub(crate) fn new(source: Option<TokenSource>) -> Self {
        Self { source, current: Mutex::new(None) }
    }

    /// The token to use now; `None` when the client has no source.
    ///
    /// # Errors
    /// [`Error::Token`] when the source fails.
    pub(crate) async fn get(&self) -> Result<Option<Arc<str>>, Error> {
        let Some(TokenSource(kind)) = &self.source else { return Ok(None) };
        let refresh = match kind {
            Kind::Fixed(token) => return Ok(Some(Arc::clone(token))),
            Kind::Refreshing(refresh) => refresh,
        };
        // Held while the source is asked, so that many calls ask it once.
        let mut current = self.current.lock().await;
        if let Some(token) = &*current {
            return Ok(Some(Arc::clone(token)));
        }
        let token: Arc<str> = refresh().await.map_err(Error::Token)?.into();
        *current = Some(Arc::clone(&token));
        Ok(Some(token))
    }

    /// Asks the source for a token in the place of this one, which is about to end.
    ///
    /// # Errors
    /// [`Error::Token`] when the source fails.
    pub(crate) async fn renew(&self, old: &str) -> Result<Option<Arc<str>>, Error> {
        self.forget(old).await;
        self.get().await
    }

    /// Forgets a token that the server did not accept. Another one that took
    /// its place meanwhile is kept.
    pub(crate) async fn forget(&self, rejected: &str) {
        let mut current = self.current.lock().await;
        if current.as_deref() == Some(rejected) {
            *current = None;
        }
    }

    /// Whether asking again can give another token.
    pub(crate) fn can_refresh(&self) -> bool {
        matches!(self.source, Some(TokenSource(Kind::Refreshing(_))))
    }
}
