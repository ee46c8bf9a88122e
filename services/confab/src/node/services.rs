//! What a node serves: its services, each built from what all are given.

use std::{future::ready, pin::Pin, sync::Arc, time::Duration};

use confab_kit::{
    bus::BusServer, lifecycle::Lifecycle, role::Role, shared_cache::SharedCache, task,
};
use confab_log::appender;
use confab_proto::{
    messages::v1::log_service_client::LogServiceClient,
    participants::v1::member_rows_service_client::MemberRowsServiceClient,
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::{Common, StartError};
use crate::store::Backend;

pub(super) type Chores = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the public port serves of what is here, what the mesh's port does, and what
/// is to be done beside it. Other processes pass their clients' calls on to the
/// mesh's port, so that has the public services, too.
pub(super) async fn routes<B: Backend>(
    common: &Common<B>,
) -> Result<(Routes, Routes, Chores), StartError> {
    let mut public = Routes::default();
    let (bus, revocations) = (&common.bus, common.revocations.clone());
    let told = BusServer::service(bus, revocations, common.lifecycle.clone());
    let operations = confab_operations::Service::new(confab_operations::Options {
        engine: common.store.engine(),
        lifecycle: common.lifecycle.clone(),
    });
    let mut mesh = Routes::new(common.mesh.greeting().service());
    mesh = mesh.add_service(told).add_service(operations.mesh());
    let mut chores: Chores = Box::pin(ready(()));
    if common.mesh.serves(Role::Messages) {
        let messages = messages(common).await?;
        public = public.add_service(messages.public()).add_service(messages.rules());
        mesh = mesh.add_service(messages.mesh());
        mesh = mesh.add_service(messages.public()).add_service(messages.rules());
        chores = Box::pin(messages_chores(common, &messages));
    }
    if common.mesh.serves(Role::Conversations) {
        let conversations = conversations(common).await?;
        public = public.add_service(conversations.public());
        mesh = mesh.add_service(conversations.mesh()).add_service(conversations.public());
    }
    if common.mesh.serves(Role::Participants) {
        let participants = participants(common).await?;
        public = public.add_service(participants.public()).add_service(participants.users());
        public = public.add_service(participants.moderation());
        mesh = mesh.add_service(participants.mesh()).add_service(participants.public());
        mesh = mesh.add_service(participants.users()).add_service(participants.moderation());
        mesh = mesh.add_service(participants.cache());
    }
    if common.mesh.serves(Role::Realtime) {
        let realtime = realtime(common).await?;
        public = public.add_service(realtime.public());
        mesh = mesh.add_service(realtime.public());
    }
    Ok((public, mesh, chores))
}

/// Finishes what a crash left open, and lets messages expire.
fn messages_chores<B: Backend>(
    common: &Common<B>,
    messages: &confab_messages::Service<B::Logs>,
) -> impl Future<Output = ()> + Send + use<B> {
    let stopped = token_of(&common.lifecycle);
    let every = Duration::from_secs(common.config.limits.retention_seconds);
    let conversations = common.mesh.to(Role::Conversations);
    let expire = messages.expire_until(conversations, every, stopped.clone());
    let sweep = messages.logs().sweep_until(stopped.clone());
    let met = common.mesh.met();
    async move {
        // Of processes that start together some come later.
        if stopped.run_until_cancelled(met).await.is_some() {
            tokio::join!(sweep, expire);
        }
    }
}

async fn messages<B: Backend>(
    common: &Common<B>,
) -> Result<confab_messages::Service<B::Logs>, StartError> {
    let store = common.store.logs(&common.config).await?;
    Ok(confab_messages::Service::new(confab_messages::Options {
        store: Arc::new(store),
        projections: confab_messages::logs::Projections::new(
            common.mesh.to(Role::Conversations),
            common.mesh.to(Role::Participants),
        ),
        admission: common.admission.clone(),
        bus: common.bus.clone(),
        sealer: common.sealer.clone(),
        digest_key: common.keys.digest,
        limits: confab_messages::convert::Limits { text_bytes: common.config.limits.text_bytes },
        appender: appender::Options::default(),
    }))
}

async fn conversations<B: Backend>(
    common: &Common<B>,
) -> Result<confab_conversations::Service<B::Conversations>, StartError> {
    Ok(confab_conversations::Service::new(confab_conversations::Options {
        store: common.store.conversations().await?,
        log: LogServiceClient::new(common.mesh.to(Role::Messages)),
        members: MemberRowsServiceClient::new(common.mesh.to(Role::Participants)),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
    }))
}

async fn participants<B: Backend>(
    common: &Common<B>,
) -> Result<confab_participants::Service<B::Participants>, StartError> {
    Ok(confab_participants::Service::new(confab_participants::Options {
        store: common.store.participants().await?,
        log: LogServiceClient::new(common.mesh.to(Role::Messages)),
        public: common.public.clone(),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
        bus: common.bus.clone(),
        cache: participant_cache(common),
    }))
}

fn participant_cache<B>(common: &Common<B>) -> confab_participants::CacheOptions {
    let config = &common.config.participant_cache;
    let values = common.values.clone();
    confab_participants::CacheOptions {
        enabled: config.enabled,
        memory_bytes: config.memory_bytes,
        conversations: config.conversations,
        time: Duration::from_secs(config.seconds),
        shared: values.map(|values| SharedCache::new(values, common.lifecycle.clone())),
    }
}

/// With all that was revoked, before anything is served.
async fn realtime<B: Backend>(common: &Common<B>) -> Result<confab_realtime::Service, StartError> {
    let store = common.store.realtime().await?;
    let (limits, auth) = (&common.config.limits, &common.config.auth);
    let service = confab_realtime::Service::new(confab_realtime::Options {
        log: LogServiceClient::new(common.mesh.to(Role::Messages)),
        members: MemberRowsServiceClient::new(common.mesh.to(Role::Participants)),
        public: common.public.clone(),
        reads: common.reads.clone(),
        bus: common.bus.clone(),
        admission: common.admission.clone(),
        sealer: common.sealer.clone(),
        verifier: common.verifier.clone(),
        revocations: common.revocations.clone(),
        sessions: store.sessions,
        revoked: store.revoked,
        last_seen: store.last_seen,
        rooms: common.rooms.clone(),
        limits: confab_realtime::Limits {
            frame_bytes: limits.frame_bytes,
            stream_queue_bytes: limits.stream_queue_bytes,
            hello_timeout: Duration::from_millis(limits.hello_timeout_ms),
            heartbeat: Duration::from_millis(limits.heartbeat_ms),
            heal_interval: Duration::from_millis(limits.heal_ms),
            token_leeway: Duration::from_secs(auth.leeway_seconds),
            token_notice: Duration::from_secs(auth.expiry_notice_seconds),
            live_head_participants: limits.live_head_participants,
            typing_participants: limits.typing_participants,
            presences: limits.presences_per_stream,
            ..confab_realtime::Limits::default()
        },
        draining: token_of(&common.lifecycle),
    });
    service.load().await.map_err(|error| StartError::Revocations(Box::new(error)))?;
    Ok(service)
}

/// A token that is cancelled when draining begins.
fn token_of(lifecycle: &Lifecycle) -> CancellationToken {
    let token = CancellationToken::new();
    let (cancelled, lifecycle) = (token.clone(), lifecycle.clone());
    task::spawn("drain notice", async move {
        lifecycle.draining().await;
        cancelled.cancel();
    });
    token
}
