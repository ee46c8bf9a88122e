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

    async fn apply_row(
        &self,
        request: Request<pb::ApplyRowRequest>,
    ) -> Result<Response<pb::ApplyRowResponse>, Status> {
        self.apply(ApplyRow::try_from(request.into_inner())?).await?;
        Ok(Response::new(pb::ApplyRowResponse {}))
    }
}
