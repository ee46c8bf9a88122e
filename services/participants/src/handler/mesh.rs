//! What the log's effects and other services call: rows and inboxes, each effect
//! at most once. It trusts the mesh's credential, which a layer has checked, and
//! no field.

use std::sync::Arc;

use confab_log::{TenantId, UserId};
use confab_proto::participants::v1::{self as pb, member_rows_service_server::MemberRowsService};
use tonic::{Request, Response, Status};

use crate::{
    blocks::Blocks,
    convert::rows::{self, ApplyMembers, ListSharing, LoadMembers, RecordRead},
    error::Error,
    inboxes::Inboxes,
    store::Store,
};

/// The mesh's handler.
pub struct Mesh<S> {
    pub(crate) store: Arc<S>,
    pub(crate) inboxes: Inboxes<S>,
    pub(crate) blocks: Blocks<S>,
}

impl<S: Store> Mesh<S> {
    async fn find_blocks(
        &self,
        tenant: &TenantId,
        user: &UserId,
        others: &[UserId],
    ) -> Result<pb::FindBlocksResponse, Error> {
        let mut found = pb::FindBlocksResponse::default();
        for other in others {
            if self.store.has_blocked(tenant, other, user).await? {
                found.blocked_by_ids.push(other.as_str().to_owned());
            }
            if self.store.has_blocked(tenant, user, other).await? {
                found.blocked_ids.push(other.as_str().to_owned());
            }
        }
        Ok(found)
    }
}

#[tonic::async_trait]
impl<S: Store> MemberRowsService for Mesh<S> {
    async fn load_members(
        &self,
        request: Request<pb::LoadMembersRequest>,
    ) -> Result<Response<pb::LoadMembersResponse>, Status> {
        let load = LoadMembers::try_from(request.into_inner())?;
        let members = self.store.members(&load.tenant, &load.conversation, &load.users);
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
        self.inboxes.apply(apply).await?;
        Ok(Response::new(pb::ApplyMembersResponse {}))
    }

    async fn list_memberships(
        &self,
        request: Request<pb::ListMembershipsRequest>,
    ) -> Result<Response<pb::ListMembershipsResponse>, Status> {
        let (tenant, user) = rows::owner(request.get_ref())?;
        let list = self.store.memberships(&tenant, &user).await.map_err(Error::from)?;
        let memberships = list
            .entries
            .iter()
            .map(|(conversation, entry)| rows::membership_to_pb(conversation, entry))
            .collect();
        Ok(Response::new(pb::ListMembershipsResponse { memberships, head_inbox_seq: list.head }))
    }

    async fn find_blocks(
        &self,
        request: Request<pb::FindBlocksRequest>,
    ) -> Result<Response<pb::FindBlocksResponse>, Status> {
        let (tenant, user, others) = rows::blocks(request.get_ref())?;
        Ok(Response::new(self.find_blocks(&tenant, &user, &others).await?))
    }

    async fn enforce_blocks(
        &self,
        request: Request<pb::EnforceBlocksRequest>,
    ) -> Result<Response<pb::EnforceBlocksResponse>, Status> {
        let (tenant, one, other) = rows::pair(request.get_ref())?;
        self.blocks.enforce(&tenant, &one, &other).await?;
        Ok(Response::new(pb::EnforceBlocksResponse {}))
    }

    async fn list_sharing(
        &self,
        request: Request<pb::ListSharingRequest>,
    ) -> Result<Response<pb::ListSharingResponse>, Status> {
        let list = ListSharing::try_from(request.into_inner())?;
        let sharing = self.store.sharing(&list.tenant, &list.user, &list.others);
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
        self.inboxes.record_read(read).await?;
        Ok(Response::new(pb::RecordReadResponse {}))
    }
}
