//! Hears what happens at peers and brings it to this process's bus. It hears each
//! process once, however many roles that serves.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use confab_proto::bus::v1::{
    ListenRequest, bus_service_client::BusServiceClient, listen_response::Word,
};

use crate::{
    bus::{Bus, Signal, wire},
    channel::Channel,
    identity::Revocations,
};

/// See the module. Cheap to clone: all the peers of a process share one.
#[derive(Clone)]
pub struct Ear {
    bus: Bus,
    revocations: Revocations,
    revocations_only: bool,
    heard: Arc<Mutex<HashSet<Arc<str>>>>,
}

/// One process is heard, for as long as this lives.
pub(super) struct Claim {
    heard: Arc<Mutex<HashSet<Arc<str>>>>,
    process_id: Arc<str>,
}

impl Ear {
    /// Brings what it hears to this bus: everything, or what is revoked. What is
    /// revoked is known when a process that serves `realtime` has told all of it.
    pub fn new(bus: Bus, revocations: Revocations, revocations_only: bool) -> Self {
        Self { bus, revocations, revocations_only, heard: Arc::default() }
    }

    /// `None` when the process is heard already.
    pub(super) fn claim(&self, process_id: &Arc<str>) -> Option<Claim> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        // Not made where there is one: its end would give up the other's.
        let new = heard.insert(Arc::clone(process_id));
        new.then(|| Claim { heard: Arc::clone(&self.heard), process_id: Arc::clone(process_id) })
    }

    /// Hears a process until it stops talking; it may be one that keeps what is revoked.
    pub(super) async fn listen(&self, channel: &Channel, keeps_revocations: bool) {
        let request = ListenRequest { revocations_only: self.revocations_only };
        let asked = BusServiceClient::new(channel.clone()).listen(request).await;
        let mut words = match asked {
            Ok(words) => words.into_inner(),
            Err(status) => return tracing::debug!(code = ?status.code(), "a peer does not talk"),
        };
        loop {
            match words.message().await {
                Ok(Some(said)) => self.hear(said.word, keeps_revocations),
                Ok(None) => return,
                Err(status) => {
                    return tracing::debug!(code = ?status.code(), "a peer stopped talking");
                }
            }
        }
    }

    fn hear(&self, word: Option<Word>, keeps_revocations: bool) {
        match word {
            Some(Word::Signal(signal)) => {
                if let Some(signal) = wire::from_pb(signal) {
                    self.bus.deliver(&signal);
                }
            }
            Some(Word::Synced(_)) => {
                if keeps_revocations {
                    self.revocations.complete();
                }
                // What happened before is not told.
                self.bus.deliver(&Signal::Missed);
            }
            // A word of a later version.
            None => {}
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.remove(&self.process_id);
    }
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear")
            .field("revocations_only", &self.revocations_only)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_several_roles_is_heard_once_at_a_time() {
        let ear = Ear::new(Bus::default(), Revocations::new(60, 60), false);
        let process: Arc<str> = "one".into();
        let first = ear.claim(&process).expect("nobody hears it yet");
        assert!(ear.claim(&process).is_none());
        assert!(ear.claim(&process).is_none(), "who came second has given up nothing");
        assert!(ear.claim(&"another".into()).is_some());
        drop(first);
        assert!(ear.claim(&process).is_some());
    }
}
