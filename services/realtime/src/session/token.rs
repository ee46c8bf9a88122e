//! The token that a stream lives under, and a new one in its place. Tokens are
//! verified as those in headers are, one after another beside the stream.

use confab_kit::{
    clock,
    error::{Coded as _, Error as Coding},
    identity::Caller,
};
use confab_proto::realtime::v1::{
    Authenticate, Authenticated, TokenExpiring, connect_response::Frame,
};
use prost_types::Timestamp;

use super::stream::{Done, Stream};
use crate::{error::Error, frame::frame, replay::Reads};

/// New tokens that may wait to be verified.
const MAX_WAITING: usize = 4;
/// Tokens that are refused in a row before the stream ends: each costs a proof.
const MAX_REFUSED: u32 = 10;

impl Stream {
    /// The client brings a new token.
    pub(super) fn on_authenticate(&mut self, new: &Authenticate) -> Result<(), Error> {
        if self.tokens.waiting.len() >= MAX_WAITING {
            return Err(Error::Overloaded("too many new tokens at a time on this stream"));
        }
        self.tokens.waiting.push_back(new.token.as_str().into());
        self.verify_next();
        Ok(())
    }

    /// Verifies the next one, unless one is being verified: answers keep the order.
    fn verify_next(&mut self) {
        if self.tokens.verifying {
            return;
        }
        let Some(token) = self.tokens.waiting.pop_front() else {
            return;
        };
        self.tokens.verifying = true;
        let verifier = self.shared.verifier.clone();
        self.work.push(Box::pin(async move { Done::Verified(verifier.verify(&token).await) }));
    }

    /// A new token was verified, or not.
    pub(super) fn on_verified(&mut self, verified: Result<Caller, Coding>) -> Result<(), Error> {
        self.tokens.verifying = false;
        let refusal = match verified {
            Ok(caller) => self.take_token(caller).err(),
            Err(refusal) => Some(refusal.into()),
        };
        let outcome = refusal.as_ref().map_or("OK", |error| error.to_error().reason_name());
        metrics::counter!("confab_stream_tokens_total", "reason" => outcome).increment(1);
        self.send(frame(Frame::Authenticated(Authenticated {
            expire_time: Some(expire_time(&self.caller)),
            failure: refusal.as_ref().map(|error| error.to_error().to_failure()),
        })))?;
        match refusal {
            None => self.tokens.refused = 0,
            Some(error) => {
                self.tokens.refused += 1;
                if self.tokens.refused >= MAX_REFUSED {
                    return Err(error);
                }
            }
        }
        self.verify_next();
        Ok(())
    }

    /// Puts the token in the place of the old one, if it is the same person's and
    /// was not revoked meanwhile.
    fn take_token(&mut self, caller: Caller) -> Result<(), Error> {
        let old = &self.caller;
        let same = caller.tenant == old.tenant
            && caller.user == old.user
            && caller.device_id == old.device_id
            && caller.kind == old.kind;
        if !same && !confab_log::mutant::is("token-of-anybody") {
            return Err(Error::TokenMismatch);
        }
        self.shared.revocations.check(&caller)?;
        self.public = self.shared.public.with_token(&caller.token);
        self.reads = Reads::new(&self.shared, &caller);
        self.timers.set_token(&caller, &self.shared.limits);
        self.keeper.log_in(&caller.session_id);
        self.caller = caller;
        Ok(())
    }

    /// Tells that the token ends soon.
    pub(super) fn give_notice(&mut self) -> Result<(), Error> {
        let expire_time = Some(expire_time(&self.caller));
        self.send(frame(Frame::TokenExpiring(TokenExpiring { expire_time })))
    }
}

fn expire_time(caller: &Caller) -> Timestamp {
    clock::timestamp(caller.expires_at.saturating_mul(1_000_000))
}
