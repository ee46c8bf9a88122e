//! A service over a data folder of its own, beside a log and a members' service
//! that answer what a test tells them to, and callers who need no token.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use confab_conversations::{EmbeddedStore, Mesh, Options, Public, Service};
use confab_kit::{
    admission::Admission,
    channel::Channel,
    clock,
    error::{Error, Reason},
    identity::{Caller, CallerKind},
    page_token::Sealer,
};
use confab_log::{TenantId, UserId};
use confab_proto::{
    conversations::v1::{
        self as pb, conversation_rows_service_client::ConversationRowsServiceClient,
        conversation_rows_service_server::ConversationRowsServiceServer,
        conversations_service_client::ConversationsServiceClient,
        conversations_service_server::ConversationsServiceServer,
    },
    messages::v1::{
        AppendRequest, AppendResponse, Content, HeadsRequest, HeadsResponse, LogHead, Message,
        ObserveRequest, ObserveResponse, Receipt,
        append_request::Command,
        log_service_client::LogServiceClient,
        log_service_server::{LogService, LogServiceServer},
    },
    method::Relation,
    participants::v1::{
        ApplyMembersRequest, ApplyMembersResponse, EnforceBlocksRequest, EnforceBlocksResponse,
        FindBlocksRequest, FindBlocksResponse, ListMembershipsRequest, ListMembershipsResponse,
        ListSharingRequest, ListSharingResponse, LoadMembersRequest, LoadMembersResponse,
        Membership, RecordReadRequest, RecordReadResponse,
        member_rows_service_client::MemberRowsServiceClient,
        member_rows_service_server::{MemberRowsService, MemberRowsServiceServer},
    },
};
use confab_store::embedded::{self, Engine};
use tempfile::TempDir;
use tonic::{Request, Response, Status, service::interceptor::InterceptedService};

type Stamp = Arc<dyn Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync>;

/// Puts a caller where the auth layer would.
#[derive(Clone)]
pub(crate) struct As(Stamp);

impl tonic::service::Interceptor for As {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        (self.0)(request)
    }
}

pub(crate) type Client = ConversationsServiceClient<
    InterceptedService<ConversationsServiceServer<Public<EmbeddedStore>>, As>,
>;
pub(crate) type MeshClient =
    ConversationRowsServiceClient<ConversationRowsServiceServer<Mesh<EmbeddedStore>>>;

/// What the others know, were asked, and are to say.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) appended: Vec<AppendRequest>,
    pub(crate) refusals: VecDeque<Error>,
    /// Seqs of the next appends; 1 when there are none.
    pub(crate) seqs: VecDeque<u64>,
    pub(crate) relations: BTreeMap<String, Relation>,
    /// Of every user: the conversation, whether active, the join, the leave.
    pub(crate) memberships: BTreeMap<String, (bool, u64, u64)>,
    /// What the memberships become at the next look at heads.
    pub(crate) meanwhile: Option<BTreeMap<String, (bool, u64, u64)>>,
    /// Per conversation: the head, its time, the unread.
    pub(crate) heads: BTreeMap<String, (u64, i64, u64)>,
    pub(crate) asked_heads: Vec<HeadsRequest>,
    /// Who has blocked everybody.
    pub(crate) blockers: Vec<String>,
    /// How often blocks were to be enforced.
    pub(crate) enforced: u32,
    /// What every last message says; empty for no message.
    pub(crate) text: String,
}

impl Script {
    fn message(&self) -> Option<Message> {
        let content = Content { text: self.text.clone(), ..Content::default() };
        (!self.text.is_empty()).then(|| Message { content: Some(content), ..Message::default() })
    }
}

#[derive(Clone)]
pub(crate) struct Fake {
    script: Arc<Mutex<Script>>,
    rows: Arc<Mutex<Option<MeshClient>>>,
}

impl Fake {
    pub(crate) fn script<R>(&self, change: impl FnOnce(&mut Script) -> R) -> R {
        change(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does what the log does before it answers: applies the effects.
    async fn create_row(&self, request: &AppendRequest, seq: u64) {
        let Some(Command::CreateConversation(created)) = &request.command else { return };
        let mut made = row(&request.conversation_id, seq);
        if let Some(seen) = &mut made.conversation {
            seen.r#type = created.r#type;
            seen.title.clone_from(&created.title);
            seen.creator_id.clone_from(&request.actor_id);
        }
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let apply = pb::ApplyRowRequest { tenant_id: request.tenant_id.clone(), row: Some(made) };
        rows.expect("the rows").apply_row(apply).await.expect("applied");
    }
}

#[tonic::async_trait]
impl LogService for Fake {
    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendResponse>, Status> {
        let request = request.into_inner();
        let seq = self.script(|script| {
            if let Some(refusal) = script.refusals.pop_front() {
                return Err(Status::from(refusal));
            }
            script.appended.push(request.clone());
            Ok(script.seqs.pop_front().unwrap_or(1))
        })?;
        self.create_row(&request, seq).await;
        Ok(Response::new(AppendResponse { seq }))
    }

    async fn observe(
        &self,
        request: Request<ObserveRequest>,
    ) -> Result<Response<ObserveResponse>, Status> {
        let user = request.into_inner().user_id;
        let relation = self.script(|script| script.relations.get(&user).copied());
        let relation = relation.unwrap_or(Relation::Stranger).number();
        let seen = ObserveResponse {
            as_of_seq: 40,
            relation,
            visible_seq: 40,
            join_seq: 1,
            ..ObserveResponse::default()
        };
        Ok(Response::new(seen))
    }

    async fn heads(
        &self,
        request: Request<HeadsRequest>,
    ) -> Result<Response<HeadsResponse>, Status> {
        let request = request.into_inner();
        let answer = self.script(|script| {
            script.asked_heads.push(request.clone());
            if let Some(memberships) = script.meanwhile.take() {
                script.memberships = memberships;
            }
            let heads = request.queries.iter().filter_map(|query| {
                let (head, time, unread) = *script.heads.get(&query.conversation_id)?;
                let limit = if query.limit_seq == 0 { u64::MAX } else { query.limit_seq };
                let seq = head.min(limit);
                (seq > query.above_seq).then(|| LogHead {
                    conversation_id: query.conversation_id.clone(),
                    seq,
                    activity_time: Some(clock::timestamp(time)),
                    unread_count: unread,
                    last_message: script.message(),
                    receipt: Some(Receipt { read_seq: 2, ..Receipt::default() }),
                    mention_count: 0,
                })
            });
            HeadsResponse { heads: heads.collect() }
        });
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl MemberRowsService for Fake {
    async fn load_members(
        &self,
        _: Request<LoadMembersRequest>,
    ) -> Result<Response<LoadMembersResponse>, Status> {
        Err(not_asked())
    }

    async fn apply_members(
        &self,
        _: Request<ApplyMembersRequest>,
    ) -> Result<Response<ApplyMembersResponse>, Status> {
        Err(not_asked())
    }

    async fn list_memberships(
        &self,
        _: Request<ListMembershipsRequest>,
    ) -> Result<Response<ListMembershipsResponse>, Status> {
        let memberships = self.script(|script| {
            let list =
                script.memberships.iter().map(|(id, (active, join_seq, leave_seq))| Membership {
                    conversation_id: id.clone(),
                    active: *active,
                    join_seq: *join_seq,
                    leave_seq: *leave_seq,
                    settings: None,
                });
            list.collect()
        });
        Ok(Response::new(ListMembershipsResponse { memberships, head_inbox_seq: 1 }))
    }

    async fn find_blocks(
        &self,
        request: Request<FindBlocksRequest>,
    ) -> Result<Response<FindBlocksResponse>, Status> {
        let request = request.into_inner();
        let blocked_by_ids = self.script(|script| {
            let others = request.other_ids.into_iter();
            others.filter(|other| script.blockers.contains(other)).collect()
        });
        Ok(Response::new(FindBlocksResponse { blocked_by_ids, blocked_ids: Vec::new() }))
    }

    async fn enforce_blocks(
        &self,
        _: Request<EnforceBlocksRequest>,
    ) -> Result<Response<EnforceBlocksResponse>, Status> {
        self.script(|script| script.enforced += 1);
        Ok(Response::new(EnforceBlocksResponse {}))
    }

    async fn list_sharing(
        &self,
        _: Request<ListSharingRequest>,
    ) -> Result<Response<ListSharingResponse>, Status> {
        Err(not_asked())
    }

    async fn record_read(
        &self,
        _: Request<RecordReadRequest>,
    ) -> Result<Response<RecordReadResponse>, Status> {
        Err(not_asked())
    }
}

fn not_asked() -> Status {
    Error::new(Reason::Internal, "conversations never asks this").into()
}

/// A running service.
pub(crate) struct World {
    pub(crate) fake: Fake,
    pub(crate) service: Service<EmbeddedStore>,
    _folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = embedded::Options::default();
        let engine = Engine::open(folder.path(), options).expect("a data folder");
        let fake = Fake { script: Arc::default(), rows: Arc::default() };
        let (log, half) = Channel::in_process();
        half.serve(LogServiceServer::new(fake.clone()));
        let (members, half) = Channel::in_process();
        half.serve(MemberRowsServiceServer::new(fake.clone()));
        let log = LogServiceClient::new(log);
        let service = Service::new(Options {
            store: EmbeddedStore::open(&engine).expect("keyspaces"),
            log: log.clone(),
            members: MemberRowsServiceClient::new(members),
            admission: Admission::new(log),
            sealer: Sealer::new([5; 32]),
        });
        let rows = ConversationRowsServiceClient::new(service.mesh());
        *fake.rows.lock().unwrap_or_else(PoisonError::into_inner) = Some(rows);
        Self { fake, service, _folder: folder }
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        let caller = Caller {
            kind: CallerKind::User,
            tenant: TenantId::parse("acme").expect("a tenant"),
            user: UserId::parse(user).expect("a user"),
            device_id: "d".into(),
            session_id: "s".into(),
            scopes: Arc::from([]),
            issued_at: 0,
            expires_at: i64::MAX,
            token: "".into(),
        };
        let stamp: Stamp = Arc::new(move |mut request: Request<()>| {
            request.extensions_mut().insert(caller.clone());
            Ok(request)
        });
        ConversationsServiceClient::new(InterceptedService::new(self.service.public(), As(stamp)))
    }

    pub(crate) fn mesh(&self) -> MeshClient {
        ConversationRowsServiceClient::new(self.service.mesh())
    }

    /// The relation of a user to every conversation.
    pub(crate) fn relation(&self, user: &str, relation: Relation) {
        self.fake.script(|script| script.relations.insert(user.to_owned(), relation));
    }

    /// Writes a row as the log's effects do.
    pub(crate) async fn apply(&self, row: pb::ConversationRow) {
        let request = pb::ApplyRowRequest { tenant_id: "acme".to_owned(), row: Some(row) };
        self.mesh().apply_row(request).await.expect("applied");
    }
}

/// A group's row.
pub(crate) fn row(conversation: &str, applied_seq: u64) -> pb::ConversationRow {
    let seen = pb::Conversation {
        conversation_id: conversation.to_owned(),
        r#type: pb::ConversationType::Group.into(),
        title: format!("Title of {conversation}"),
        creator_id: "ada".to_owned(),
        participant_count: 2,
        create_time: Some(clock::timestamp(1_000_000)),
        update_time: Some(clock::timestamp(2_000_000)),
        etag: applied_seq.to_string(),
        applied_seq,
        history_visibility: pb::HistoryVisibility::Full.into(),
        ..pb::Conversation::default()
    };
    pb::ConversationRow {
        conversation: Some(seen),
        version_seq: applied_seq,
        create_request_id: "r-1".to_owned(),
        create_digest: vec![1; 16],
    }
}

/// A conversation's id.
pub(crate) fn id(number: u32) -> String {
    format!("{number:032x}")
}
