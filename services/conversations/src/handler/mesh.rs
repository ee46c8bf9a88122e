//! What the log's effects call. It trusts the mesh's credential, which a layer
//! has checked, and no field.

use std::sync::Arc;

use confab_log::event::Kind;
use confab_proto::conversations::v1::{
    self as pb, conversation_rows_service_server::ConversationRowsService,
};
use metrics::counter;
use tonic::{Request, Response, Status};

use crate::{
    convert::rows::{self, ApplyRow},
    domain::Applied,
    error::Error,
    store::ConversationStore,
};

/// Conversations of one page of those with a retention, at most.
const MAX_RETAINED: usize = 1000;

/// The mesh's handler.
pub struct Mesh<S> {
    pub(crate) store: Arc<S>,
}

impl<S: ConversationStore> Mesh<S> {
    async fn apply(&self, apply: ApplyRow) -> Result<(), Error> {
        let kind = apply.row.kind;
        // Counted where the guard has passed: once per conversation, whatever is retried.
        match self.store.apply(&apply.tenant, &apply.conversation, apply.row).await? {
            Applied::First => {
                let kind = match kind {
                    Kind::Direct => "direct",
                    Kind::Group => "group",
                    Kind::Channel => "channel",
                };
                counter!("confab_conversations_created_total", "type" => kind).increment(1);
            }
            Applied::Deleted => counter!("confab_conversations_deleted_total").increment(1),
            Applied::Changed | Applied::Stale => {}
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl<S: ConversationStore> ConversationRowsService for Mesh<S> {
    async fn load_row(
        &self,
        request: Request<pb::LoadRowRequest>,
    ) -> Result<Response<pb::LoadRowResponse>, Status> {
        let request = request.get_ref();
        let (tenant, id) = rows::names(&request.tenant_id, &request.conversation_id)?;
        let row = self.store.row(&tenant, &id).await.map_err(Error::from)?;
        let row = row.map(|row| rows::row_to_pb(&id, row));
        Ok(Response::new(pb::LoadRowResponse { row }))
    }

    async fn list_retained(
        &self,
        request: Request<pb::ListRetainedRequest>,
    ) -> Result<Response<pb::ListRetainedResponse>, Status> {
        let request = request.get_ref();
        let after = match (request.after_tenant_id.as_str(), request.after_conversation_id.as_str())
        {
            ("", "") => None,
            (tenant, id) => Some(rows::names(tenant, id)?),
        };
        let after = after.as_ref().map(|(tenant, id)| (tenant, id));
        let limit = usize::try_from(request.page_size).unwrap_or(0).clamp(1, MAX_RETAINED);
        let found = self.store.retained(after, limit).await.map_err(Error::from)?;
        let conversations = found.into_iter().map(|(tenant, id, row)| pb::RetainedConversation {
            tenant_id: tenant.as_str().to_owned(),
            conversation_id: id.as_str().to_owned(),
            retention: Some(rows::retention_to_pb(row.retention)),
            expired_through_seq: row.expired_through,
        });
        let conversations = conversations.collect();
        Ok(Response::new(pb::ListRetainedResponse { conversations }))
    }

    async fn apply_row(
        &self,
        request: Request<pb::ApplyRowRequest>,
    ) -> Result<Response<pb::ApplyRowResponse>, Status> {
        self.apply(ApplyRow::try_from(request.into_inner())?).await?;
        Ok(Response::new(pb::ApplyRowResponse {}))
    }
}
