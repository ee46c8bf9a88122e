//! A new token for a stream that goes on: asked of the source when the server says
//! that the old one is about to end, and sent on the stream. Nothing here waits;
//! where it does not work, the stream ends with its token and is opened anew.

use std::sync::Arc;

use confab_proto::realtime::v1::{Authenticate, Authenticated, connect_request};
use futures_util::future::BoxFuture;

use super::connection::Connection;
use crate::error::Error;

/// What the source gave.
pub(super) type Renewed = Result<Option<Arc<str>>, Error>;

/// See the module.
#[derive(Default)]
pub(super) struct Renewal {
    asking: Option<BoxFuture<'static, Renewed>>,
    /// Sent, and not answered yet.
    sent: Option<Arc<str>>,
}

impl Renewal {
    /// Whether the source is being asked.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// What the source gives. A call that is dropped loses nothing.
    pub(super) async fn next(&mut self) -> Renewed {
        let Some(asking) = &mut self.asking else { return Ok(None) };
        let renewed = asking.await;
        self.asking = None;
        renewed
    }
}

impl Connection<'_> {
    /// The token is about to end.
    pub(super) fn renew_token(&mut self) {
        let tokens = Arc::clone(self.stream.client.tokens());
        let Some(old) = self.stream.token.clone().filter(|_| tokens.can_refresh()) else { return };
        if !self.renewal.is_asking() {
            self.renewal.asking = Some(Box::pin(async move { tokens.renew(&old).await }));
        }
    }

    /// The source has answered.
    pub(super) fn take_renewed(&mut self, renewed: Renewed) {
        match renewed {
            Ok(Some(token)) => {
                let frame = Authenticate { token: token.to_string() };
                self.renewal.sent = Some(token);
                self.send(connect_request::Frame::Authenticate(frame));
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "no new token for the stream"),
        }
    }

    /// The server has looked at the new token.
    pub(super) fn take_authenticated(&mut self, answer: Authenticated) {
        let Some(token) = self.renewal.sent.take() else { return };
        // Taken or not: when the stream ends for want of a token, this one was no good.
        self.stream.token = Some(token);
        if let Some(failure) = answer.failure {
            let error = Error::from_failure(&failure);
            tracing::debug!(%error, "the new token was refused");
        }
    }
}
