//! What the log's effects call: rows and inboxes, each at most once, and the
//! signal to a user's devices after the inbox is durable. It trusts the mesh's
//! credential, which a layer has checked, and no field.

use std::sync::Arc;

use confab_kit::{
    bus::{Bus, Signal},
    clock, task,
};
use confab_log::{TenantId, UserId};
use confab_proto::participants::v1::{self as pb, member_rows_service_server::MemberRowsService};
use metrics::counter;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::{
    convert::rows::{self, ApplyMembers, ListSharing, LoadMembers, RecordRead},
    domain::{InboxBody, InboxEvent},
    error::Error,
    order::InboxOrder,
    store::MemberStore,
};

/// The mesh's handler.
pub struct Mesh<S> {
    inboxes: Arc<Inboxes<S>>,
}

/// The store, and the way from it to the bus.
struct Inboxes<S> {
    store: Arc<S>,
    bus: Bus,
    order: InboxOrder,
}

impl<S: MemberStore> Inboxes<S> {
    async fn apply(&self, apply: ApplyMembers) -> Result<(), Error> {
        let ApplyMembers { tenant, conversation, effects } = apply;
        let users = effects.inbox.iter().map(|effect| &effect.user);
        let _turn = self.order.turn(&tenant, users).await;
        let taken = self.store.apply(&tenant, &conversation, effects).await?;
        for (user, event) in &taken {
            self.publish(&tenant, user, event);
        }
        Ok(())
    }

    async fn record_read(&self, read: RecordRead) -> Result<(), Error> {
        let RecordRead { tenant, user, conversation, read_seq } = read;
        let _turn = self.order.turn(&tenant, std::iter::once(&user)).await;
        let now = clock::now_micros();
        let taken = self.store.record_read(&tenant, &user, &conversation, read_seq, now).await?;
        if let Some(event) = taken {
            self.publish(&tenant, &user, &event);
        }
        Ok(())
    }

    fn publish(&self, tenant: &TenantId, user: &UserId, event: &InboxEvent) {
        // Counted where the guard has passed: once per join, whatever is retried.
        match event.body {
            InboxBody::Joined { .. } => counter!("confab_participants_added_total").increment(1),
            InboxBody::Left { .. } => counter!("confab_participants_removed_total").increment(1),
            InboxBody::Read { .. } => {}
        }
        self.bus.publish(Signal::Inbox {
            tenant: tenant.clone(),
            user: user.clone(),
            event: Arc::new(rows::inbox_event_to_pb(event)),
        });
    }
}

impl<S: MemberStore> Mesh<S> {
    pub(crate) fn new(store: Arc<S>, bus: Bus) -> Self {
        Self { inboxes: Arc::new(Inboxes { store, bus, order: InboxOrder::new() }) }
    }

    /// Runs a write to its end even if the caller goes away: what is durable
    /// is also published.
    async fn finish<F>(&self, name: &'static str, write: F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        task::spawn(name, async move {
            // A caller that went away does not want the answer.
            let _unwanted = sender.send(write.await);
        });
        receiver.await.unwrap_or(Err(Error::Contract("a write ended without an answer")))
    }
}

#[tonic::async_trait]
impl<S: MemberStore> MemberRowsService for Mesh<S> {
    async fn load_members(
        &self,
        request: Request<pb::LoadMembersRequest>,
    ) -> Result<Response<pb::LoadMembersResponse>, Status> {
        let load = LoadMembers::try_from(request.into_inner())?;
        let members = self.inboxes.store.members(&load.tenant, &load.conversation, &load.users);
        let members = members.await.map_err(Error::from)?;
        let rows = members
            .into_iter()
            .map(|(user, row)| rows::member_to_pb(&load.conversation, &user, row))
            .collect();
        Ok(Response::new(pb::LoadMembersResponse { rows }))
    }

    async fn apply_members(
        &self,
        request: Request<pb::ApplyMembersRequest>,
    ) -> Result<Response<pb::ApplyMembersResponse>, Status> {
        let apply = ApplyMembers::try_from(request.into_inner())?;
        let inboxes = Arc::clone(&self.inboxes);
        self.finish("apply members", async move { inboxes.apply(apply).await }).await?;
        Ok(Response::new(pb::ApplyMembersResponse {}))
    }

    async fn list_memberships(
        &self,
        request: Request<pb::ListMembershipsRequest>,
    ) -> Result<Response<pb::ListMembershipsResponse>, Status> {
        let (tenant, user) = rows::owner(request.get_ref())?;
        let list = self.inboxes.store.memberships(&tenant, &user).await.map_err(Error::from)?;
        let memberships = list
            .entries
            .iter()
            .map(|(conversation, entry)| rows::membership_to_pb(conversation, entry))
            .collect();
        Ok(Response::new(pb::ListMembershipsResponse { memberships, head_inbox_seq: list.head }))
    }

    async fn list_sharing(
        &self,
        request: Request<pb::ListSharingRequest>,
    ) -> Result<Response<pb::ListSharingResponse>, Status> {
        let list = ListSharing::try_from(request.into_inner())?;
        let sharing = self.inboxes.store.sharing(&list.tenant, &list.user, &list.others);
        let sharing = sharing.await.map_err(Error::from)?;
        let user_ids = sharing.users.iter().map(ToString::to_string).collect();
        let checked = u32::try_from(sharing.checked).unwrap_or(u32::MAX);
        Ok(Response::new(pb::ListSharingResponse { user_ids, checked }))
    }

    async fn record_read(
        &self,
        request: Request<pb::RecordReadRequest>,
    ) -> Result<Response<pb::RecordReadResponse>, Status> {
        let read = RecordRead::try_from(request.into_inner())?;
        let inboxes = Arc::clone(&self.inboxes);
        self.finish("record read", async move { inboxes.record_read(read).await }).await?;
        Ok(Response::new(pb::RecordReadResponse {}))
    }
}
