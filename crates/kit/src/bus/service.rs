//! What other processes hear of this one: what is revoked, and then what happens.
//! Keeps a bounded number of signals for whoever is slow, and ends those who are too
//! slow: they begin again, and learn what is revoked anew.

use std::{pin::Pin, sync::Arc, time::Duration};

use confab_log::mutant;
use confab_proto::bus::v1::{
    ListenRequest, ListenResponse, Signal as Told, Synced,
    bus_service_server::{BusService, BusServiceServer},
    listen_response::Word,
    signal::What,
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast::{
    self,
    error::RecvError::{Closed, Lagged},
};
use tonic::{Request, Response, Status};

use super::{Bus, Signal, wire};
use crate::{
    error::{Error, Reason},
    identity::Revocations,
    lifecycle::Lifecycle,
};

/// Signals that wait for the slowest listener.
const KEPT: usize = 1024;
/// While draining, calls that are still open have so long to be heard of.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Answers `Listen`.
pub struct BusServer {
    told: broadcast::Sender<Arc<Told>>,
    revocations: Revocations,
    lifecycle: Lifecycle,
}

impl BusServer {
    /// What is published on this bus; for the mesh's port.
    pub fn service(
        bus: &Bus,
        revocations: Revocations,
        lifecycle: Lifecycle,
    ) -> BusServiceServer<Self> {
        let (told, _) = broadcast::channel(KEPT);
        let telling = told.clone();
        bus.attach_carrier(Arc::new(move |signal| {
            // Converted for nobody it would only cost time.
            if telling.receiver_count() > 0
                && let Some(signal) = wire::to_pb(signal)
            {
                let _nobody_left = telling.send(Arc::new(signal));
            }
        }));
        BusServiceServer::new(Self { told, revocations, lifecycle })
    }
}

type Words = Pin<Box<dyn Stream<Item = Result<ListenResponse, Status>> + Send>>;

#[tonic::async_trait]
impl BusService for BusServer {
    type ListenStream = Words;

    async fn listen(&self, request: Request<ListenRequest>) -> Result<Response<Words>, Status> {
        let all = !request.get_ref().revocations_only;
        // Listening begins before the look: nothing falls between the two.
        let live = self.told.subscribe();
        let known = self.revocations.all().into_iter();
        let revoked = known.filter_map(|one| wire::to_pb(&Signal::Revoked(Arc::new(one))));
        let revoked = revoked.filter(|signal| !is_untold(signal));
        let words = revoked.map(Word::Signal).chain([Word::Synced(Synced {})]);
        let words = stream::iter(words.map(|word| Ok(ListenResponse { word: Some(word) })));
        let lifecycle = self.lifecycle.clone();
        let end = Box::pin(async move {
            lifecycle.draining().await;
            tokio::time::sleep(LAST_WORDS).await;
        });
        let words = words.chain(heard(live, all)).take_until(end);
        Ok(Response::new(Box::pin(words)))
    }
}

/// What happens from now on.
fn heard(
    live: broadcast::Receiver<Arc<Told>>,
    all: bool,
) -> impl Stream<Item = Result<ListenResponse, Status>> + Send {
    stream::unfold(Some(live), move |live| async move {
        let mut live = live?;
        loop {
            match live.recv().await {
                Ok(signal) if is_untold(&signal) => {}
                Ok(signal) if all || matches!(signal.what, Some(What::Revoked(_))) => {
                    let word = Some(Word::Signal((*signal).clone()));
                    return Some((Ok(ListenResponse { word }), Some(live)));
                }
                Ok(_) => {}
                Err(Lagged(_)) => {
                    let error = Error::new(Reason::SlowConsumer, "the listener is too slow");
                    return Some((Err(error.into()), None));
                }
                Err(Closed) => return None,
            }
        }
    })
}

/// Never, but in a mutant.
fn is_untold(signal: &Told) -> bool {
    mutant::is("revocation-not-told") && matches!(signal.what, Some(What::Revoked(_)))
}
