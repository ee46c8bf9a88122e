//! `UsersService`: profiles are everybody's to read in a tenant and one's own, or
//! an application's, to change; blocks are one's own.

use std::sync::Arc;

use confab_kit::{
    admission::{Admission, Admitted},
    clock,
    error::{Error as KitError, Reason},
    page_token::Sealer,
};
use confab_log::UserId;
use confab_proto::{
    method::RpcRequest as _,
    participants::v1::{self as pb, users_service_server::UsersService},
};
use tonic::{Request, Response, Status};

use super::position;
use crate::{
    blocks::Blocks,
    convert::users as convert,
    domain::{ListBlocks, ListUsers, UpdateUser},
    error::Error,
    inboxes::Inboxes,
    store::Store,
};

/// Profiles that one call looks through for those that a query shows.
const SCAN: usize = 500;

/// The handler of users.
pub struct Users<S> {
    pub(crate) store: Arc<S>,
    pub(crate) blocks: Blocks<S>,
    pub(crate) inboxes: Inboxes<S>,
    pub(crate) admission: Admission,
    pub(crate) sealer: Sealer,
}

impl<S: Store> Users<S> {
    async fn get(&self, admitted: Admitted<UserId>) -> Result<pb::User, Error> {
        let (caller, user, _) = admitted.into_parts();
        let mut profiles = self.store.profiles(&caller.tenant, &[user]).await?;
        let (user, profile) = profiles
            .pop()
            .ok_or_else(|| KitError::new(Reason::UserNotFound, "the user has no profile"))?;
        Ok(convert::user_to_pb(&user, profile))
    }

    async fn list(&self, admitted: Admitted<ListUsers>) -> Result<pb::ListUsersResponse, Error> {
        let (caller, list, _) = admitted.into_parts();
        let context = [
            pb::ListUsersRequest::METHOD.path,
            caller.tenant.as_str(),
            caller.user.as_str(),
            &list.query,
        ];
        let after = self.open(&context, &list.page_token)?;
        let rows = self.store.list_profiles(&caller.tenant, after.as_ref(), SCAN).await?;
        let mut end = rows.last().filter(|_| rows.len() == SCAN).map(|(user, _)| user.clone());
        let mut users = Vec::new();
        for (user, profile) in rows {
            if !list.shows(&user, &profile) {
                continue;
            }
            users.push(convert::user_to_pb(&user, profile));
            if users.len() == list.limit {
                end = Some(user);
                break;
            }
        }
        let next_page_token = self.seal(&context, end.as_ref());
        Ok(pb::ListUsersResponse { users, next_page_token })
    }

    async fn update(&self, admitted: Admitted<UpdateUser>) -> Result<pb::User, Error> {
        let (caller, update, _) = admitted.into_parts();
        let user = update.user.unwrap_or_else(|| caller.user.clone());
        if caller.is_user() && user != caller.user {
            let message = "only applications change other users' profiles";
            return Err(KitError::new(Reason::CallerNotAllowed, message).into());
        }
        let now = clock::now_micros();
        let changed = self.store.change_profile(&caller.tenant, &user, update.changes, now).await?;
        Ok(convert::user_to_pb(&user, changed))
    }

    async fn set_block(&self, admitted: Admitted<UserId>, blocked: bool) -> Result<(), Error> {
        let (caller, other, _) = admitted.into_parts();
        if other == caller.user {
            return Err(Error::TargetIsCaller);
        }
        let (tenant, user) = (caller.tenant, caller.user);
        let set = self.inboxes.set_block(tenant.clone(), user.clone(), other.clone(), blocked);
        set.await?;
        self.blocks.tell(&tenant, &user, &other).await
    }

    async fn list_blocks(
        &self,
        admitted: Admitted<ListBlocks>,
    ) -> Result<pb::ListBlockedUsersResponse, Error> {
        let (caller, list, _) = admitted.into_parts();
        let path = pb::ListBlockedUsersRequest::METHOD.path;
        let context = [path, caller.tenant.as_str(), caller.user.as_str()];
        let after = self.open(&context, &list.page_token)?;
        let (tenant, user, limit) = (&caller.tenant, &caller.user, list.limit + 1);
        let mut rows = self.store.list_blocks(tenant, user, after.as_ref(), limit).await?;
        let more = rows.len() == limit;
        rows.truncate(list.limit);
        let end = rows.last().filter(|_| more).map(|(user, _)| user);
        let next_page_token = self.seal(&context, end);
        let users = rows.iter().map(|(user, since)| convert::blocked_to_pb(user, *since)).collect();
        Ok(pb::ListBlockedUsersResponse { users, next_page_token })
    }

    fn open(&self, context: &[&str], token: &str) -> Result<Option<UserId>, Error> {
        match token {
            "" => Ok(None),
            token => position(&self.sealer.open(context, token)?).map(Some),
        }
    }

    fn seal(&self, context: &[&str], end: Option<&UserId>) -> String {
        end.map(|user| self.sealer.seal(context, user.as_str().as_bytes())).unwrap_or_default()
    }
}

#[tonic::async_trait]
impl<S: Store> UsersService for Users<S> {
    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        let admitted = self.admission.admit(request).await?;
        let admitted = admitted.try_map(|request| convert::one(&request.user_id))?;
        Ok(Response::new(pb::GetUserResponse { user: Some(self.get(admitted).await?) }))
    }

    async fn batch_get_users(
        &self,
        request: Request<pb::BatchGetUsersRequest>,
    ) -> Result<Response<pb::BatchGetUsersResponse>, Status> {
        let admitted = self.admission.admit(request).await?;
        let admitted = admitted.try_map(|request| convert::batch(&request.user_ids))?;
        let (caller, users, _) = admitted.into_parts();
        let profiles = self.store.profiles(&caller.tenant, &users).await.map_err(Error::from)?;
        let users = profiles
            .into_iter()
            .map(|(user, profile)| convert::user_to_pb(&user, profile))
            .collect();
        Ok(Response::new(pb::BatchGetUsersResponse { users }))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(ListUsers::try_from)?;
        Ok(Response::new(self.list(admitted).await?))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::UpdateUserResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(UpdateUser::try_from)?;
        Ok(Response::new(pb::UpdateUserResponse { user: Some(self.update(admitted).await?) }))
    }

    async fn block_user(
        &self,
        request: Request<pb::BlockUserRequest>,
    ) -> Result<Response<pb::BlockUserResponse>, Status> {
        let admitted = self.admission.admit(request).await?;
        let admitted = admitted.try_map(|request| convert::one(&request.user_id))?;
        self.set_block(admitted, true).await?;
        Ok(Response::new(pb::BlockUserResponse {}))
    }

    async fn unblock_user(
        &self,
        request: Request<pb::UnblockUserRequest>,
    ) -> Result<Response<pb::UnblockUserResponse>, Status> {
        let admitted = self.admission.admit(request).await?;
        let admitted = admitted.try_map(|request| convert::one(&request.user_id))?;
        self.set_block(admitted, false).await?;
        Ok(Response::new(pb::UnblockUserResponse {}))
    }

    async fn list_blocked_users(
        &self,
        request: Request<pb::ListBlockedUsersRequest>,
    ) -> Result<Response<pb::ListBlockedUsersResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(ListBlocks::try_from)?;
        Ok(Response::new(self.list_blocks(admitted).await?))
    }
}
