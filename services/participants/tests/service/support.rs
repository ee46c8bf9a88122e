//! A service over a data folder of its own, with a log that answers what a
//! test tells it to, and callers who need no token.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use confab_kit::{
    admission::Admission,
    bus::{Bus, Signal},
    channel::Channel,
    error::Error,
    identity::{Caller, CallerKind},
    page_token::Sealer,
};
use confab_log::{TenantId, UserId};
use confab_participants::{CacheOptions, EmbeddedStore, Options, Public, Service};
use confab_proto::{
    messages::v1::{
        AppendRequest, AppendResponse, HeadsRequest, HeadsResponse, ObserveRequest,
        ObserveResponse,
        log_service_client::LogServiceClient,
        log_service_server::{LogService, LogServiceServer},
    },
    method::Relation,
    participants::v1::{
        self as pb, member_rows_service_client::MemberRowsServiceClient,
        participant_cache_service_client::ParticipantCacheServiceClient,
        participants_service_client::ParticipantsServiceClient,
        participants_service_server::ParticipantsServiceServer,
    },
};
use confab_store::embedded::{self, Engine};
use tempfile::TempDir;
use tonic::{Request, Response, Status, service::interceptor::InterceptedService};

/// The conversation that the tests are about.
pub(crate) const ROOM: &str = "0123456789abcdef0123456789abcdef";

type Stamp = Arc<dyn Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync>;

/// Puts a caller where the auth layer would.
#[derive(Clone)]
pub(crate) struct As(Stamp);

impl tonic::service::Interceptor for As {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        (self.0)(request)
    }
}

pub(crate) type Client = ParticipantsServiceClient<
    InterceptedService<ParticipantsServiceServer<Public<EmbeddedStore>>, As>,
>;
pub(crate) type MeshClient = MemberRowsServiceClient<
    pb::member_rows_service_server::MemberRowsServiceServer<
        confab_participants::Mesh<EmbeddedStore>,
    >,
>;

pub(crate) type CacheClient = ParticipantCacheServiceClient<
    pb::participant_cache_service_server::ParticipantCacheServiceServer<
        confab_participants::Cache<EmbeddedStore>,
    >,
>;

/// What the log was asked, and what it is to say.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) appended: Vec<AppendRequest>,
    pub(crate) refusals: VecDeque<Error>,
    pub(crate) relations: BTreeMap<String, Relation>,
    /// How many events there are after the 40th.
    pub(crate) later: u64,
    pub(crate) participants: u32,
}

#[derive(Clone, Default)]
pub(crate) struct FakeLog(Arc<Mutex<Script>>);

impl FakeLog {
    pub(crate) fn script<R>(&self, change: impl FnOnce(&mut Script) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tonic::async_trait]
impl LogService for FakeLog {
    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendResponse>, Status> {
        self.script(|script| {
            if let Some(refusal) = script.refusals.pop_front() {
                return Err(refusal.into());
            }
            script.appended.push(request.into_inner());
            let seq = 40 + script.appended.len() as u64;
            Ok(Response::new(AppendResponse { seq }))
        })
    }

    async fn observe(
        &self,
        request: Request<ObserveRequest>,
    ) -> Result<Response<ObserveResponse>, Status> {
        let user = request.into_inner().user_id;
        let (relation, head, participant_count) = self.script(|script| {
            (script.relations.get(&user).copied(), 40 + script.later, script.participants)
        });
        let relation = relation.unwrap_or(Relation::Stranger).number();
        let seen = ObserveResponse {
            as_of_seq: head,
            relation,
            visible_seq: head,
            join_seq: 1,
            participant_count,
            ..ObserveResponse::default()
        };
        Ok(Response::new(seen))
    }

    async fn heads(&self, _: Request<HeadsRequest>) -> Result<Response<HeadsResponse>, Status> {
        Ok(Response::new(HeadsResponse::default()))
    }
}

/// A running service.
pub(crate) struct World {
    pub(crate) log: FakeLog,
    pub(crate) signals: Arc<Mutex<Vec<(String, pb::InboxEvent)>>>,
    pub(crate) service: Service<EmbeddedStore>,
    pub(crate) bus: Bus,
    engine: Engine,
    _folder: Option<TempDir>,
}

/// Lists that fit are remembered for five minutes, in this process.
pub(crate) fn remembering() -> CacheOptions {
    CacheOptions {
        enabled: true,
        memory_bytes: 1 << 20,
        conversations: 100,
        time: Duration::from_mins(5),
        shared: None,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(remembering())
    }

    pub(crate) fn with(cache: CacheOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = embedded::Options::default();
        let engine = Engine::open(folder.path(), options).expect("a data folder");
        Self { _folder: Some(folder), ..Self::of(engine, FakeLog::default(), cache) }
    }

    /// Another process over the same store and the same log.
    pub(crate) fn beside(&self, cache: CacheOptions) -> Self {
        Self::of(self.engine.clone(), self.log.clone(), cache)
    }

    fn of(engine: Engine, log: FakeLog, cache: CacheOptions) -> Self {
        let (channel, half) = Channel::in_process();
        half.serve(LogServiceServer::new(log.clone()));
        let bus = Bus::default();
        let signals = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&signals);
        bus.attach(Arc::new(move |signal| {
            if let Signal::Inbox { user, event, .. } = signal {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push((user.to_string(), event.as_ref().clone()));
            }
        }));
        let client = LogServiceClient::new(channel);
        let service = Service::new(Options {
            store: EmbeddedStore::open(&engine).expect("keyspaces"),
            log: client.clone(),
            public: Channel::in_process().0,
            admission: Admission::new(client),
            sealer: Sealer::new([5; 32]),
            bus: bus.clone(),
            cache,
        });
        Self { log, signals, service, bus, engine, _folder: None }
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        self.client_of("acme", user)
    }

    pub(crate) fn client_of(&self, tenant: &str, user: &str) -> Client {
        let caller = Caller {
            kind: CallerKind::User,
            tenant: TenantId::parse(tenant).expect("a tenant"),
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
        ParticipantsServiceClient::new(InterceptedService::new(self.service.public(), As(stamp)))
    }

    pub(crate) fn mesh(&self) -> MeshClient {
        MemberRowsServiceClient::new(self.service.mesh())
    }

    pub(crate) fn cache(&self) -> CacheClient {
        ParticipantCacheServiceClient::new(self.service.cache())
    }

    /// The relation of a user to every conversation.
    pub(crate) fn relation(&self, user: &str, relation: Relation) {
        self.log.script(|script| script.relations.insert(user.to_owned(), relation));
    }
}

/// A member's row.
pub(crate) fn row(user: &str, applied_seq: u64) -> pb::MemberRow {
    let participant = pb::Participant {
        conversation_id: ROOM.to_owned(),
        user_id: user.to_owned(),
        role: pb::Role::Member.into(),
        join_time: Some(confab_kit::clock::timestamp(1_000_000)),
        join_seq: 1,
        applied_seq,
        ..pb::Participant::default()
    };
    let intervals = vec![pb::Interval { join_seq: 1, leave_seq: 0 }];
    pb::MemberRow { participant: Some(participant), intervals }
}

/// The effects of an event by which users joined.
pub(crate) fn joined(seq: u64, users: &[&str]) -> pb::ApplyMembersRequest {
    let inbox = users.iter().map(|user| pb::InboxEffect {
        user_id: (*user).to_owned(),
        change: Some(pb::inbox_effect::Change::Joined(pb::Joined {
            seq,
            role: pb::Role::Member.into(),
        })),
    });
    pb::ApplyMembersRequest {
        tenant_id: "acme".to_owned(),
        conversation_id: ROOM.to_owned(),
        seq,
        time_micros: 1_000_000,
        rows: users.iter().map(|user| row(user, seq)).collect(),
        inbox: inbox.collect(),
        ..pb::ApplyMembersRequest::default()
    }
}
