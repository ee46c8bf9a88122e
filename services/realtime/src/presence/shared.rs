//! The other processes, as far as they can be asked: a port, and the link to it.

use std::{sync::Arc, time::Duration};

use confab_kit::link::{Away, Link};
use confab_log::{TenantId, UserId};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::store::{Rooms, Said, StoreError, Word};

/// How long anybody waits for an answer: who opens a stream, says how present they are,
/// or looks.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often this process says that it lives.
const BEAT: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct SharedRooms {
    rooms: Arc<dyn Rooms>,
    link: Link,
}

impl SharedRooms {
    pub(super) fn new(rooms: Arc<dyn Rooms>) -> Self {
        metrics::gauge!("confab_rooms_shared").set(0);
        Self { rooms, link: Link::new(told) }
    }

    /// As [`Rooms::tell`]; `None` while nobody can be told.
    pub(super) async fn tell(
        &self,
        tenant: &TenantId,
        user: &UserId,
        word: &Word,
    ) -> Option<Option<Said>> {
        self.asked(self.rooms.tell(tenant, user, word)).await
    }

    /// As [`Rooms::ask`]; `None` while nobody can be asked.
    pub(super) async fn ask(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Option<Vec<Option<Said>>> {
        self.asked(self.rooms.ask(tenant, users)).await
    }

    /// Lives among the others until the process drains: from then on it says so no more,
    /// and its users have [`crate::store::LIVES`] to be somewhere else. Whenever it is
    /// connected anew, all that it has told before is forgotten, or will be.
    pub(super) async fn keep(&self, connected: impl Fn(), draining: &CancellationToken) {
        let beat = async {
            loop {
                sleep(BEAT).await;
                let _away = self.asked(self.rooms.stay()).await.is_none();
            }
        };
        let enter = || async { self.rooms.enter().await.map_err(away) };
        tokio::select! {
            () = self.link.connect_for_ever(enter, connected) => {}
            () = beat => {}
            () = draining.cancelled() => {}
        }
        let _away = self.asked(self.rooms.stay()).await.is_none();
    }

    /// The answer, if there is one in time.
    async fn asked<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        self.link.ask(PATIENCE, async { call.await.map_err(away) }).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn away(error: StoreError) -> Away {
    Away(error.to_string())
}

fn told(news: Result<(), &Away>) {
    metrics::gauge!("confab_rooms_shared").set(i32::from(news.is_ok()));
    match news {
        Ok(()) => tracing::info!("rooms are shared"),
        Err(away) => tracing::warn!(error = %away, "rooms are not shared"),
    }
}
