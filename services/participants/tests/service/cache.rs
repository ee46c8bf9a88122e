//! What is remembered of lists: it is used, it is never older than the log says, and
//! nothing depends on it. Two processes are two services over one store; what one does,
//! the other one hears only where the test tells it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use confab_kit::{
    bus::Signal,
    clock,
    error::{Error, Reason},
    lifecycle::Lifecycle,
    link::Away,
    shared_cache::{SharedCache, Values},
};
use confab_log::{ConversationId, TenantId};
use confab_participants::CacheOptions;
use confab_proto::{
    method::Relation,
    participants::v1::{self as pb, forget_participants_request::What},
};
use futures_util::future::{BoxFuture, FutureExt as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::support::{ROOM, World, joined, remembering, row};

/// A Redis that holds whatever is put there, unless it is away.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    values: BTreeMap<String, Vec<u8>>,
    away: bool,
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn values(&self) -> Result<MutexGuard<'_, State>, Away> {
        let state = self.state();
        if state.away { Err(Away("away".to_owned())) } else { Ok(state) }
    }

    /// A cache over it, when it is connected.
    async fn shared(&self) -> CacheOptions {
        let lifecycle = Lifecycle::new(Duration::ZERO);
        let shared = SharedCache::new(Arc::new(self.clone()), lifecycle);
        while !shared.remove(vec!["nothing".to_owned()]).await {
            tokio::task::yield_now().await;
        }
        CacheOptions { shared: Some(shared), ..remembering() }
    }

    /// Waits until it holds so many values: nobody else waits for what is put there.
    async fn holds(&self, many: usize) {
        while self.state().values.len() != many {
            tokio::task::yield_now().await;
        }
    }
}

impl Values for Fake {
    fn connect(&self) -> BoxFuture<'_, Result<(), Away>> {
        async move { self.values().map(drop) }.boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, Away>> {
        async move { Ok(self.values()?.values.get(name).cloned()) }.boxed()
    }

    fn put(&self, name: String, value: Bytes, _: Duration) -> BoxFuture<'_, Result<(), Away>> {
        async move { self.values().map(|mut it| drop(it.values.insert(name, value.to_vec()))) }
            .boxed()
    }

    fn remove(&self, names: Vec<String>) -> BoxFuture<'_, Result<(), Away>> {
        let keep = move |name: &String| !names.contains(name);
        async move { self.values().map(|mut it| it.values.retain(|name, _| keep(name))) }.boxed()
    }

    fn remove_all<'a>(&'a self, beginning: &'a str) -> BoxFuture<'a, Result<(), Away>> {
        let keep = move |name: &String| !name.starts_with(beginning);
        async move { self.values().map(|mut it| it.values.retain(|name, _| keep(name))) }.boxed()
    }
}

/// Where lists came from, as an operator sees it.
struct Counts {
    text: PrometheusHandle,
    _recording: metrics::LocalRecorderGuard<'static>,
}

impl Counts {
    /// Of what this thread does from now on.
    fn new() -> Self {
        let recorder: &'static _ = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let (text, recording) = (recorder.handle(), metrics::set_default_local_recorder(recorder));
        Self { text, _recording: recording }
    }

    /// From memory, from Redis, from the store.
    fn now(&self) -> [u64; 3] {
        let text = self.text.render();
        ["memory", "redis", "miss"].map(|outcome| {
            let series = format!("confab_participant_cache_total{{outcome=\"{outcome}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&series));
            line.map_or(0, |value| value.parse().expect("a count"))
        })
    }
}

/// A world of ada, bob and whoever joins, in which ada lists.
async fn world(cache: CacheOptions) -> World {
    let world = World::with(cache);
    world.relation("ada", Relation::Owner);
    apply(&world, joined(1, &["ada", "bob"])).await;
    world
}

async fn apply(world: &World, effects: pb::ApplyMembersRequest) {
    world.mesh().apply_members(effects).await.expect("applied");
}

async fn list(world: &World) -> Vec<String> {
    list_of(world, "acme").await
}

async fn list_of(world: &World, tenant: &str) -> Vec<String> {
    let request =
        pb::ListParticipantsRequest { conversation_id: ROOM.to_owned(), ..Default::default() };
    let page = world.client_of(tenant, "ada").list_participants(request).await.expect("a page");
    page.into_inner().participants.into_iter().map(|one| one.user_id).collect()
}

/// The log has so many events after the 40th.
fn later(world: &World, events: u64) {
    world.log.script(|script| script.later = events);
}

#[tokio::test]
async fn a_list_is_read_again_only_when_the_log_has_moved_and_the_list_has_changed() {
    let counts = Counts::new();
    let here = world(remembering()).await;
    let there = here.beside(remembering());
    assert_eq!(list(&here).await, ["ada", "bob"]);
    assert_eq!(list(&here).await, ["ada", "bob"]);
    later(&here, 1);
    assert_eq!(list(&here).await, ["ada", "bob"], "the event has changed nobody");
    assert_eq!(counts.now(), [2, 0, 1]);
    apply(&there, joined(42, &["cleo"])).await;
    assert_eq!(list(&here).await, ["ada", "bob"], "as of the look, which is before the event");
    later(&here, 2);
    assert_eq!(list(&here).await, ["ada", "bob", "cleo"]);
    assert_eq!(list(&there).await, ["ada", "bob", "cleo"]);
    assert_eq!(counts.now(), [3, 0, 3]);
}

#[tokio::test]
async fn pages_and_bans_come_from_one_list() {
    let counts = Counts::new();
    let here = world(remembering()).await;
    let mut effects = joined(3, &["cleo"]);
    let mut banned = row("dan", 3);
    banned.intervals.clear();
    let ban = pb::Restriction {
        reason: "spam".to_owned(),
        actor_id: "ada".to_owned(),
        create_time: Some(clock::timestamp(1)),
        until: None,
    };
    banned.participant.as_mut().expect("a participant").ban = Some(ban);
    effects.rows.push(banned);
    apply(&here, effects).await;
    let mut seen = Vec::new();
    let mut page_token = String::new();
    for _ in 0..3 {
        let conversation_id = ROOM.to_owned();
        let request = pb::ListParticipantsRequest { conversation_id, page_size: 1, page_token };
        let page = here.client("ada").list_participants(request).await.expect("a page");
        let page = page.into_inner();
        seen.extend(page.participants.into_iter().map(|one| one.user_id));
        page_token = page.next_page_token;
    }
    assert_eq!(seen, ["ada", "bob", "cleo"]);
    assert_eq!(page_token, "");
    let bans = pb::ListBansRequest { conversation_id: ROOM.to_owned(), ..Default::default() };
    let bans = here.client("ada").list_bans(bans).await.expect("bans").into_inner().bans;
    assert_eq!(bans.iter().map(|one| one.user_id.as_str()).collect::<Vec<_>>(), ["dan"]);
    assert_eq!(counts.now(), [3, 0, 1], "and each page of it is exact");
}

#[tokio::test]
async fn what_one_process_has_read_another_one_needs_not() {
    let (counts, redis) = (Counts::new(), Fake::default());
    let here = world(redis.shared().await).await;
    let there = here.beside(redis.shared().await);
    assert_eq!(list(&here).await, ["ada", "bob"]);
    redis.holds(1).await;
    assert_eq!(list(&there).await, ["ada", "bob"]);
    assert_eq!(counts.now(), [0, 1, 1]);
    apply(&here, joined(41, &["cleo"])).await;
    later(&here, 1);
    assert_eq!(list(&there).await, ["ada", "bob", "cleo"], "Redis still has the old one");
    assert_eq!(counts.now(), [0, 1, 2]);
}

#[tokio::test]
async fn tenants_share_no_list() {
    let redis = Fake::default();
    let here = world(redis.shared().await).await;
    let zeta = "zeta".to_owned();
    apply(&here, pb::ApplyMembersRequest { tenant_id: zeta, ..joined(1, &["zoe"]) }).await;
    for _ in 0..2 {
        assert_eq!(list_of(&here, "acme").await, ["ada", "bob"]);
        assert_eq!(list_of(&here, "zeta").await, ["zoe"]);
    }
    redis.holds(2).await;
    // Not even where somebody has mixed them up there.
    let names: Vec<String> = redis.state().values.keys().cloned().collect();
    let values: Vec<Vec<u8>> = redis.state().values.values().cloned().collect();
    redis.state().values = BTreeMap::from([
        (names[0].clone(), values[1].clone()),
        (names[1].clone(), values[0].clone()),
    ]);
    let there = here.beside(redis.shared().await);
    assert_eq!(list_of(&there, "acme").await, ["ada", "bob"]);
    assert_eq!(list_of(&there, "zeta").await, ["zoe"]);
}

#[tokio::test]
async fn garbage_in_redis_is_as_good_as_nothing() {
    let redis = Fake::default();
    let here = world(redis.shared().await).await;
    assert_eq!(list(&here).await, ["ada", "bob"]);
    redis.holds(1).await;
    let good = redis.state().values.clone();
    let whole = good.values().next().expect("a value").clone();
    let garbage = [
        vec![],
        vec![0],
        b"\xFF\xFE not a list".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        [&[whole[0] + 1], &whole[1..]].concat(),
    ];
    for bytes in garbage {
        let counts = Counts::new();
        redis.state().values.values_mut().for_each(|value| value.clone_from(&bytes));
        let there = here.beside(redis.shared().await);
        assert_eq!(list(&there).await, ["ada", "bob"]);
        assert_eq!(counts.now(), [0, 0, 1], "{bytes:?}");
        while redis.state().values != good {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn without_redis_lists_come_from_the_store() {
    let (counts, redis) = (Counts::new(), Fake::default());
    let here = world(redis.shared().await).await;
    let there = here.beside(redis.shared().await);
    redis.state().away = true;
    assert_eq!(list(&here).await, ["ada", "bob"]);
    assert_eq!(list(&there).await, ["ada", "bob"]);
    assert_eq!(counts.now(), [0, 0, 2]);
    let forget = pb::ForgetParticipantsRequest {
        tenant_id: String::new(),
        what: Some(What::Everything(pb::Everything {})),
    };
    let answer = here.cache().forget_participants(forget).await.expect("forgotten").into_inner();
    assert!(!answer.redis, "what is away cannot be said to have forgotten");
}

/// Adds somebody at another process, without a word to this one and without a move of
/// the log: only what is forgotten here is read again.
async fn changed_behind(here: &World, seq: u64, user: &str) {
    let there = here.beside(remembering());
    apply(&there, joined(seq, &[user])).await;
}

#[tokio::test]
async fn the_bus_frees_memory() {
    let here = world(remembering()).await;
    assert_eq!(list(&here).await, ["ada", "bob"]);
    changed_behind(&here, 41, "cleo").await;
    let tenant = TenantId::parse("zeta").expect("a tenant");
    let conversation = ConversationId::parse(ROOM).expect("a conversation");
    here.bus.deliver(&Signal::RosterChanged { tenant, conversation: conversation.clone() });
    assert_eq!(list(&here).await, ["ada", "bob"], "that was another tenant's");
    let tenant = TenantId::parse("acme").expect("a tenant");
    here.bus.deliver(&Signal::RosterChanged { tenant, conversation });
    assert_eq!(list(&here).await, ["ada", "bob", "cleo"]);
    changed_behind(&here, 42, "dan").await;
    here.bus.deliver(&Signal::RostersForgotten);
    assert_eq!(list(&here).await, ["ada", "bob", "cleo", "dan"]);
}

#[tokio::test]
async fn operators_let_it_forget_a_conversation_a_user_or_all() {
    let redis = Fake::default();
    let here = world(redis.shared().await).await;
    let mut expected = vec!["ada", "bob"];
    assert_eq!(list(&here).await, expected);
    let of =
        |what| pb::ForgetParticipantsRequest { tenant_id: "acme".to_owned(), what: Some(what) };
    let everything = What::Everything(pb::Everything {});
    let cases = [
        (of(What::ConversationId(ROOM.to_owned())), "cleo", 1),
        (of(What::UserId("bob".to_owned())), "dan", 1),
        (
            pb::ForgetParticipantsRequest { tenant_id: String::new(), what: Some(everything) },
            "eve",
            0,
        ),
    ];
    for (seq, (request, joiner, conversations)) in (41..).zip(cases) {
        redis.holds(1).await;
        changed_behind(&here, seq, joiner).await;
        assert_eq!(list(&here).await, expected);
        let answer = here.cache().forget_participants(request).await.expect("forgotten");
        let answer = answer.into_inner();
        assert_eq!((answer.conversations, answer.redis), (conversations, true));
        redis.holds(0).await;
        expected.push(joiner);
        assert_eq!(list(&here).await, expected);
    }
    for what in [None, Some(What::UserId("no one".to_owned()))] {
        let request = pb::ForgetParticipantsRequest { tenant_id: "acme".to_owned(), what };
        let refused = here.cache().forget_participants(request).await.expect_err("refused");
        assert_eq!(Error::from_status(&refused).reason(), Reason::InvalidArgument);
    }
}

#[tokio::test]
async fn it_can_be_switched_off_while_it_runs() {
    let counts = Counts::new();
    let here = world(remembering()).await;
    assert_eq!(list(&here).await, ["ada", "bob"]);
    changed_behind(&here, 41, "cleo").await;
    assert_eq!(list(&here).await, ["ada", "bob"]);
    let switch = async |enabled| {
        let request = pb::SetParticipantCacheRequest { enabled };
        let answer = here.cache().set_participant_cache(request).await.expect("switched");
        answer.into_inner().was_enabled
    };
    assert!(switch(false).await);
    let before = counts.now();
    assert_eq!(list(&here).await, ["ada", "bob", "cleo"]);
    assert_eq!(counts.now(), before, "nothing is asked for, and nothing is missing");
    assert!(!switch(true).await);
    assert_eq!(list(&here).await, ["ada", "bob", "cleo"]);
    assert_eq!(list(&here).await, ["ada", "bob", "cleo"]);
    assert_eq!(counts.now(), [before[0] + 1, 0, before[2] + 1]);

    let off = here.beside(CacheOptions { enabled: false, ..remembering() });
    let before = counts.now();
    assert_eq!(list(&off).await, ["ada", "bob", "cleo"]);
    assert_eq!(counts.now(), before, "as the configuration says");
}

#[tokio::test]
async fn large_conversations_are_not_remembered() {
    let counts = Counts::new();
    let here = world(remembering()).await;
    here.log.script(|script| script.participants = 1001);
    assert_eq!(list(&here).await, ["ada", "bob"]);
    assert_eq!(counts.now(), [0, 0, 0]);
    // Few participants, and so many bans.
    here.log.script(|script| script.participants = 2);
    let names: Vec<String> = (0..999).map(|number| format!("user-{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut effects = joined(2, &[]);
    effects.rows = names.iter().map(|name| row(name, 2)).collect();
    apply(&here, effects).await;
    assert_eq!(list(&here).await[..3], ["ada", "bob", "user-000"]);
    assert_eq!(counts.now(), [0, 0, 1], "one look shows that there are too many");
    assert_eq!(list(&here).await[..3], ["ada", "bob", "user-000"]);
    assert_eq!(counts.now(), [0, 0, 1]);
    changed_behind(&here, 41, "ace").await;
    assert_eq!(list(&here).await[..3], ["ace", "ada", "bob"], "so each page is of the store");
}
