//! `ContentRulesService`: gRPC in, domain out.

use std::sync::Arc;

use confab_kit::{admission::Admission, error::Coded};
use confab_proto::messages::v1::{self as pb, content_rules_service_server::ContentRulesService};
use tonic::{Request, Response, Status};

use crate::{
    convert::rules::{Replace, rules_to_pb},
    domain::Domain,
    error::Error,
    store::{LogStore, RuleStore},
};

/// The face of the content rules.
pub struct RulesHandler<S> {
    pub(crate) domain: Arc<Domain<S>>,
    pub(crate) admission: Admission,
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn refuse(error: Error) -> Status {
    error.to_error().into()
}

#[tonic::async_trait]
impl<S: LogStore + RuleStore> ContentRulesService for RulesHandler<S> {
    async fn get_content_rules(
        &self,
        request: Request<pb::GetContentRulesRequest>,
    ) -> Result<Response<pb::GetContentRulesResponse>, Status> {
        let admitted = self.admission.admit(request).await?.map(|_| ());
        let stored = self.domain.content_rules(admitted).await.map_err(refuse)?;
        Ok(Response::new(pb::GetContentRulesResponse { rules: Some(rules_to_pb(stored)) }))
    }

    async fn update_content_rules(
        &self,
        request: Request<pb::UpdateContentRulesRequest>,
    ) -> Result<Response<pb::UpdateContentRulesResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(Replace::try_from)?;
        let stored = self.domain.replace_rules(admitted).await.map_err(refuse)?;
        Ok(Response::new(pb::UpdateContentRulesResponse { rules: Some(rules_to_pb(Some(stored))) }))
    }
}
