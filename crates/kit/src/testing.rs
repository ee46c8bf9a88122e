//! What the kit's own tests share: a tiny service on generated servers that
//! misbehaves on request, layers around it, and callers. Never in a release.

use std::{sync::Arc, time::Duration};

use confab_proto::{
    conversations::v1::{
        self as pb, conversation_rows_service_server::ConversationRowsServiceServer,
        conversations_service_client::ConversationsServiceClient,
        conversations_service_server::ConversationsServiceServer,
    },
    messages::v1::{
        AppendRequest, AppendResponse, HeadsRequest, HeadsResponse, ObserveRequest,
        ObserveResponse, log_service_server::LogServiceServer,
    },
    realtime::v1::{
        self as realtime, ConnectRequest, ConnectResponse, connect_request::Frame,
        realtime_service_server::RealtimeServiceServer,
    },
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    channel::Channel,
    config::{Config, Limits},
    error::{Error, Reason},
    identity::{Caller, Claims, Credential, DevKey, Revocations},
    layers::{Elsewhere, LayerOptions, Layered, Port, layered},
    lifecycle::Lifecycle,
    mesh_tls::MeshTls,
    rates::Budgets,
};

/// Behaves as the conversation id that it is asked for says.
#[derive(Clone, Default)]
pub(crate) struct Tiny {
    /// Released by tests that hold calls open.
    pub(crate) gate: Arc<tokio::sync::Notify>,
    /// Told when such a call is open.
    pub(crate) entered: Arc<tokio::sync::Notify>,
    /// Answers of the log: (as of, relation).
    pub(crate) seen: Arc<std::sync::Mutex<(u64, i32)>>,
}

/// Text in an extension of the caller's side, which must not get through.
#[derive(Clone)]
pub(crate) struct CallersOwn;

#[tonic::async_trait]
impl pb::conversations_service_server::ConversationsService for Tiny {
    async fn get_conversation(
        &self,
        request: Request<pb::GetConversationRequest>,
    ) -> Result<Response<pb::GetConversationResponse>, Status> {
        match request.get_ref().conversation_id.as_str() {
            "panic" => panic!("the password is 1234"),
            "internal" => return Err(Status::internal("the password is 1234")),
            "unknown" => return Err(Status::unknown("the password is 1234")),
            "muted" => return Err(Error::new(Reason::Muted, "muted").with("until", 7).into()),
            "slow" => {
                self.entered.notify_one();
                self.gate.notified().await;
            }
            "extension" if request.extensions().get::<CallersOwn>().is_some() => {
                return Err(Status::data_loss("leaked"));
            }
            _ => {}
        }
        let caller = request.extensions().get::<Caller>();
        let conversation_id = caller.map(|caller| format!("{}/{}", caller.tenant, caller.user));
        let conversation_id = conversation_id.unwrap_or_default();
        let conversation = Some(pb::Conversation { conversation_id, ..Default::default() });
        Ok(Response::new(pb::GetConversationResponse { conversation, ..Default::default() }))
    }

    async fn create_conversation(
        &self,
        _: Request<pb::CreateConversationRequest>,
    ) -> Result<Response<pb::CreateConversationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn update_conversation(
        &self,
        _: Request<pb::UpdateConversationRequest>,
    ) -> Result<Response<pb::UpdateConversationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn delete_conversation(
        &self,
        _: Request<pb::DeleteConversationRequest>,
    ) -> Result<Response<pb::DeleteConversationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn restore_conversation(
        &self,
        _: Request<pb::RestoreConversationRequest>,
    ) -> Result<Response<pb::RestoreConversationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn archive_conversation(
        &self,
        _: Request<pb::ArchiveConversationRequest>,
    ) -> Result<Response<pb::ArchiveConversationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn unarchive_conversation(
        &self,
        _: Request<pb::UnarchiveConversationRequest>,
    ) -> Result<Response<pb::UnarchiveConversationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_public_channels(
        &self,
        _: Request<pb::ListPublicChannelsRequest>,
    ) -> Result<Response<pb::ListPublicChannelsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_conversations(
        &self,
        _: Request<pb::ListConversationsRequest>,
    ) -> Result<Response<pb::ListConversationsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn compare_heads(
        &self,
        _: Request<pb::CompareHeadsRequest>,
    ) -> Result<Response<pb::CompareHeadsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl pb::conversation_rows_service_server::ConversationRowsService for Tiny {
    async fn load_row(
        &self,
        _: Request<pb::LoadRowRequest>,
    ) -> Result<Response<pb::LoadRowResponse>, Status> {
        Ok(Response::new(pb::LoadRowResponse::default()))
    }

    async fn list_retained(
        &self,
        _: Request<pb::ListRetainedRequest>,
    ) -> Result<Response<pb::ListRetainedResponse>, Status> {
        Ok(Response::new(pb::ListRetainedResponse::default()))
    }

    async fn apply_row(
        &self,
        _: Request<pb::ApplyRowRequest>,
    ) -> Result<Response<pb::ApplyRowResponse>, Status> {
        Ok(Response::new(pb::ApplyRowResponse::default()))
    }
}

#[tonic::async_trait]
impl confab_proto::messages::v1::log_service_server::LogService for Tiny {
    async fn append(&self, _: Request<AppendRequest>) -> Result<Response<AppendResponse>, Status> {
        Ok(Response::new(AppendResponse::default()))
    }

    async fn observe(
        &self,
        _: Request<ObserveRequest>,
    ) -> Result<Response<ObserveResponse>, Status> {
        let (as_of_seq, relation) = *self.seen.lock().expect("lock");
        let answer = ObserveResponse {
            as_of_seq,
            relation,
            visible_seq: as_of_seq,
            join_seq: 1,
            ..ObserveResponse::default()
        };
        Ok(Response::new(answer))
    }

    async fn heads(&self, _: Request<HeadsRequest>) -> Result<Response<HeadsResponse>, Status> {
        Ok(Response::new(HeadsResponse::default()))
    }
}

type Frames<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl confab_proto::realtime::v1::realtime_service_server::RealtimeService for Tiny {
    type ConnectStream = Frames<ConnectResponse>;
    type SubscribeStream = Frames<realtime::SubscribeResponse>;

    async fn subscribe(
        &self,
        _: Request<realtime::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn acknowledge(
        &self,
        _: Request<realtime::AcknowledgeRequest>,
    ) -> Result<Response<realtime::AcknowledgeResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_sessions(
        &self,
        _: Request<realtime::ListSessionsRequest>,
    ) -> Result<Response<realtime::ListSessionsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn end_session(
        &self,
        _: Request<realtime::EndSessionRequest>,
    ) -> Result<Response<realtime::EndSessionResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_user(
        &self,
        _: Request<realtime::RevokeUserRequest>,
    ) -> Result<Response<realtime::RevokeUserResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn send_typing(
        &self,
        _: Request<realtime::SendTypingRequest>,
    ) -> Result<Response<realtime::SendTypingResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn set_presence(
        &self,
        _: Request<realtime::SetPresenceRequest>,
    ) -> Result<Response<realtime::SetPresenceResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    /// Answers each frame with an empty one; an ack is a panic.
    async fn connect(
        &self,
        request: Request<tonic::Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let answers = request.into_inner().map(|frame| match frame?.frame {
            Some(Frame::Ack(_)) => panic!("the password is 1234"),
            _ => Ok(ConnectResponse::default()),
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A tiny service behind layers.
pub(crate) struct World {
    pub(crate) key: DevKey,
    pub(crate) revocations: Revocations,
    pub(crate) credential: Credential,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) tiny: Tiny,
    pub(crate) limits: Limits,
    pub(crate) budgets: Budgets,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) mesh_tls: Option<MeshTls>,
}

impl World {
    pub(crate) fn new() -> Self {
        crate::telemetry::init_metrics().expect("metrics");
        Self {
            key: DevKey::ephemeral().expect("a key"),
            revocations: Revocations::new(86_400, 60),
            credential: Credential::generate(),
            lifecycle: Lifecycle::new(Duration::from_secs(30)),
            tiny: Tiny::default(),
            limits: Limits { request_bytes: 1000, frame_bytes: 1000, ..Limits::default() },
            budgets: Budgets::new(&Config::default()),
            elsewhere: Elsewhere::default(),
            mesh_tls: None,
        }
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(ConversationsServiceServer::new(self.tiny.clone()))
            .add_service(ConversationRowsServiceServer::new(self.tiny.clone()))
            .add_service(LogServiceServer::new(self.tiny.clone()))
            .add_service(RealtimeServiceServer::new(self.tiny.clone()))
    }

    pub(crate) fn layered(&self, port: Port, routes: Routes) -> Layered {
        let options = LayerOptions {
            verifier: self.key.verifier().expect("a verifier"),
            revocations: self.revocations.clone(),
            credential: self.credential.clone(),
            limits: self.limits.clone(),
            budgets: self.budgets.clone(),
            lifecycle: self.lifecycle.clone(),
            elsewhere: self.elsewhere.clone(),
        };
        layered(port, options, routes)
    }

    /// A channel to one port, without any proof.
    pub(crate) fn channel(&self, port: Port) -> Channel {
        let (channel, half) = Channel::in_process();
        half.serve(self.layered(port, self.routes()));
        channel
    }

    pub(crate) fn token(&self, claims: Claims) -> String {
        self.key.sign(claims)
    }

    /// A user's channel to the public port.
    pub(crate) fn alice(&self) -> Channel {
        self.channel(Port::Public).with_token(&self.token(Claims::user("acme", "alice")))
    }
}

/// Asks the tiny service; the answer is who it saw.
pub(crate) async fn get(channel: Channel, conversation_id: &str) -> Result<String, Status> {
    let request = pb::GetConversationRequest { conversation_id: conversation_id.to_owned() };
    let answer = ConversationsServiceClient::new(channel).get_conversation(request).await?;
    let conversation = answer.into_inner().conversation.expect("a conversation");
    Ok(conversation.conversation_id)
}

/// As [`get`], for the refusal.
pub(crate) async fn refused(channel: Channel, conversation_id: &str) -> Error {
    let status = get(channel, conversation_id).await.expect_err("refused");
    assert!(crate::error::names_reason(&status), "no reason in {status:?}");
    Error::from_status(&status)
}
