//! `ModerationService`: reports of messages, which their reporter must be able to
//! read, and the record of what moderators did.

use std::sync::Arc;

use confab_kit::{
    admission::{Admission, Admitted},
    channel::Channel,
    clock,
    error::{Error as KitError, Reason},
    page_token::Sealer,
};
use confab_log::UserId;
use confab_proto::{
    messages::v1::{GetMessageRequest, messages_service_client::MessagesServiceClient},
    method::RpcRequest as _,
    participants::v1::{self as pb, moderation_service_server::ModerationService},
};
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::{
    convert::moderation as convert,
    domain::{
        ActionPlace, ListReports, Report, ReportId, ReportMessage, Resolution, ResolveReport,
        Roster,
    },
    error::{Error, upstream},
    store::Store,
};

/// The handler of reports and records.
pub struct Moderation<S> {
    pub(crate) store: Arc<S>,
    /// All public services, without a token.
    pub(crate) public: Channel,
    pub(crate) admission: Admission,
    pub(crate) sealer: Sealer,
}

impl<S: Store> Moderation<S> {
    async fn report(&self, admitted: Admitted<ReportMessage>) -> Result<ReportId, Error> {
        let (caller, report, _) = admitted.into_parts();
        let ReportMessage { conversation, message, category, comment } = report;
        // As the reporter sees it: nobody reports what they cannot read.
        let mut messages = MessagesServiceClient::new(self.public.with_token(&caller.token));
        let conversation_id = conversation.as_str().to_owned();
        let request = GetMessageRequest { conversation_id, message_seq: message };
        let answer = messages.get_message(request).await.map_err(|status| upstream(&status))?;
        let seen = answer.into_inner().message.unwrap_or_default();
        if seen.sender_id == caller.user.as_str() {
            return Err(Error::TargetIsCaller);
        }
        if seen.delete_time.is_some() {
            return Err(KitError::new(Reason::MessageDeleted, "the message is deleted").into());
        }
        let sender =
            UserId::parse(&seen.sender_id).map_err(|_| Error::Contract("a message of nobody"))?;
        let id = ReportId::of(&caller.tenant, &conversation, message, Some(&caller.user), "");
        let report = Report {
            conversation,
            message,
            sender,
            reporter: Some(caller.user),
            category,
            comment,
            content: seen.content.map(|content| content.encode_to_vec()),
            time: clock::now_micros(),
            resolution: None,
        };
        self.store.report(&caller.tenant, id, report).await?;
        metrics::counter!("confab_reports_total").increment(1);
        Ok(id)
    }

    async fn list(
        &self,
        admitted: Admitted<ListReports>,
    ) -> Result<pb::ListReportsResponse, Error> {
        let (caller, list, _) = admitted.into_parts();
        let resolved = list.resolved.to_string();
        let path = pb::ListReportsRequest::METHOD.path;
        let context = [path, caller.tenant.as_str(), caller.user.as_str(), &resolved];
        let after = match list.page_token.as_str() {
            "" => None,
            token => Some(place_of(&self.sealer.open(&context, token)?)?),
        };
        let limit = list.limit + 1;
        let rows = self.store.list_reports(&caller.tenant, list.resolved, after, limit).await?;
        let more = rows.len() == limit;
        let end = rows.get(list.limit - 1).filter(|_| more).map(|(id, report)| {
            let mut payload = report.time.to_be_bytes().to_vec();
            payload.extend(id.0);
            self.sealer.seal(&context, &payload)
        });
        let rows = rows.into_iter().take(list.limit);
        let reports = rows.map(|(id, report)| convert::report_to_pb(id, report)).collect();
        Ok(pb::ListReportsResponse { reports, next_page_token: end.unwrap_or_default() })
    }

    async fn resolve(&self, admitted: Admitted<ResolveReport>) -> Result<pb::Report, Error> {
        let (caller, ResolveReport { id, acted, note }, _) = admitted.into_parts();
        let resolution =
            Resolution { acted, resolver: caller.user, note, time: clock::now_micros() };
        let report = self.store.resolve(&caller.tenant, id, resolution).await?;
        let report =
            report.ok_or_else(|| KitError::new(Reason::ReportNotFound, "no such report"))?;
        Ok(convert::report_to_pb(id, report))
    }

    async fn actions(
        &self,
        admitted: Admitted<Roster>,
    ) -> Result<pb::ListModerationActionsResponse, Error> {
        let (caller, roster, _) = admitted.into_parts();
        let Roster { conversation, limit, page_token } = roster;
        let path = pb::ListModerationActionsRequest::METHOD.path;
        let context = [path, caller.tenant.as_str(), caller.user.as_str(), conversation.as_str()];
        let before = match page_token.as_str() {
            "" => None,
            token => Some(place_of_action(&self.sealer.open(&context, token)?)?),
        };
        let rows =
            self.store.list_actions(&caller.tenant, &conversation, before, limit + 1).await?;
        // What was read may be newer than the look that the call was admitted with.
        self.admission.still_participates(&caller, &conversation).await?;
        let more = rows.len() > limit;
        let end = rows.get(limit - 1).filter(|_| more).map(|((seq, nth), _)| {
            let mut payload = seq.to_be_bytes().to_vec();
            payload.extend(nth.to_be_bytes());
            self.sealer.seal(&context, &payload)
        });
        let rows = rows.into_iter().take(limit);
        let actions = rows.map(|(place, action)| convert::action_to_pb(place, action)).collect();
        Ok(pb::ListModerationActionsResponse { actions, next_page_token: end.unwrap_or_default() })
    }
}

/// A token's payload. Only we seal tokens, so a wrong one is a fault of ours.
fn place_of(payload: &[u8]) -> Result<(i64, ReportId), Error> {
    let place = || {
        let (time, id) = payload.split_at_checked(8)?;
        Some((i64::from_be_bytes(time.try_into().ok()?), ReportId(id.try_into().ok()?)))
    };
    place().ok_or(Error::Contract("a page token that is ours and wrong"))
}

fn place_of_action(payload: &[u8]) -> Result<ActionPlace, Error> {
    let place = || {
        let (seq, nth) = payload.split_at_checked(8)?;
        Some((u64::from_be_bytes(seq.try_into().ok()?), u32::from_be_bytes(nth.try_into().ok()?)))
    };
    place().ok_or(Error::Contract("a page token that is ours and wrong"))
}

#[tonic::async_trait]
impl<S: Store> ModerationService for Moderation<S> {
    async fn report_message(
        &self,
        request: Request<pb::ReportMessageRequest>,
    ) -> Result<Response<pb::ReportMessageResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(ReportMessage::try_from)?;
        let report_id = self.report(admitted).await?.to_string();
        Ok(Response::new(pb::ReportMessageResponse { report_id }))
    }

    async fn list_reports(
        &self,
        request: Request<pb::ListReportsRequest>,
    ) -> Result<Response<pb::ListReportsResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(ListReports::try_from)?;
        Ok(Response::new(self.list(admitted).await?))
    }

    async fn resolve_report(
        &self,
        request: Request<pb::ResolveReportRequest>,
    ) -> Result<Response<pb::ResolveReportResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(ResolveReport::try_from)?;
        let report = Some(self.resolve(admitted).await?);
        Ok(Response::new(pb::ResolveReportResponse { report }))
    }

    async fn list_moderation_actions(
        &self,
        request: Request<pb::ListModerationActionsRequest>,
    ) -> Result<Response<pb::ListModerationActionsResponse>, Status> {
        let admitted = self.admission.admit(request).await?.try_map(Roster::try_from)?;
        Ok(Response::new(self.actions(admitted).await?))
    }
}
