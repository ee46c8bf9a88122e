//! An entry passes on what it does not serve, and only what it should.

use std::sync::atomic::{AtomicUsize, Ordering};

use confab_proto::conversations::v1::{
    LoadRowRequest, conversation_rows_service_client::ConversationRowsServiceClient,
};
use tonic::{Code, service::Routes};

use super::*;
use crate::{
    config::{Config, Rate},
    error::{Error, Reason},
    identity::Claims,
    layers::Port,
    rates::Budgets,
    testing::{World, get, refused},
};

/// What the service's process lets a user ask for.
const READS: u32 = 3;

struct Site {
    world: World,
    /// The public port of a process that serves nothing itself.
    entry: Channel,
    /// Calls that have reached the service's process.
    reached: Arc<AtomicUsize>,
}

impl Site {
    fn new() -> Self {
        let mut world = World::new();
        let mut config = Config::default();
        config.rates.enabled = Some(true);
        config.rates.read = Rate { per_minute: READS, per_hour: 0 };
        let open = std::mem::replace(&mut world.budgets, Budgets::new(&config));
        let reached = Arc::new(AtomicUsize::new(0));
        let (inner, counted) = (world.channel(Port::Mesh), Arc::clone(&reached));
        let there = Channel::over(tower::service_fn(move |request| {
            counted.fetch_add(1, Ordering::Relaxed);
            inner.clone().oneshot(request)
        }));
        world.budgets = open;
        let there = there.with_mesh_credential(&world.credential);
        world.elsewhere = Elsewhere::new([(Role::Conversations, there)].into());
        let (entry, half) = Channel::in_process();
        half.serve(world.layered(Port::Public, Routes::default()));
        Self { world, entry, reached }
    }

    fn of(&self, claims: Claims) -> Channel {
        self.entry.with_token(&self.world.token(claims))
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::Relaxed)
    }
}

/// A call that shows headers which clients should not have.
async fn forged(site: &Site, claims: Claims) -> Result<String, Error> {
    let channel = site.of(claims);
    let headers = [
        (MESH_HEADER, "a-credential-that-was-guessed"),
        (FORWARDED_HEADER, ""),
        (HeaderName::from_static("x-confab-affinity"), "c"),
    ];
    let forging = Channel::over(tower::service_fn(move |mut request: Request<Body>| {
        for (name, value) in headers.clone() {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        channel.clone().oneshot(request)
    }));
    get(forging, "c").await.map_err(|status| Error::from_status(&status))
}

#[tokio::test]
async fn what_is_served_elsewhere_is_passed_on_for_its_caller() {
    let site = Site::new();
    let alice = site.of(Claims::user("acme", "alice"));
    assert_eq!(get(alice, "c").await.expect("an answer"), "acme/alice");
    assert_eq!(site.reached(), 1);
    let bob = site.of(Claims::user("other", "bob"));
    assert_eq!(get(bob.clone(), "c").await.expect("an answer"), "other/bob");
    assert_eq!(refused(bob, "muted").await.metadata("until"), Some("7"));
}

#[tokio::test]
async fn who_may_not_call_gets_no_further_than_the_entry() {
    let site = Site::new();
    assert_eq!(refused(site.entry.clone(), "c").await.reason(), Reason::MissingToken);
    let nonsense = site.entry.with_token("nonsense");
    assert_eq!(refused(nonsense, "c").await.reason(), Reason::InvalidToken);
    let admin = site.of(Claims::tenant_admin("acme", "root"));
    assert_eq!(refused(admin, "c").await.reason(), Reason::CallerNotAllowed);
    // The mesh's own RPCs do not exist for clients, nor does what nobody serves.
    let mesh = site.entry.with_mesh_credential(&site.world.credential);
    let status = ConversationRowsServiceClient::new(mesh).load_row(LoadRowRequest::default()).await;
    assert_eq!(status.expect_err("hidden").code(), Code::Unimplemented);
    assert_eq!(site.reached(), 0);
}

#[tokio::test]
async fn a_call_is_charged_where_it_is_served_whatever_its_headers_say() {
    let site = Site::new();
    let alice = || Claims::user("acme", "alice");
    for _ in 0..READS {
        assert_eq!(forged(&site, alice()).await.expect("in time"), "acme/alice");
    }
    let beyond = forged(&site, alice()).await.expect_err("beyond her budget");
    assert_eq!(beyond.reason(), Reason::RateLimited);
    assert_eq!(get(site.of(Claims::user("acme", "bob")), "c").await.expect("his"), "acme/bob");
}

#[tokio::test]
async fn what_confab_does_on_a_users_behalf_is_free_there_too() {
    let site = Site::new();
    let reads = site.of(Claims::user("acme", "alice"));
    let reads = reads.with_mesh_credential(&site.world.credential);
    for _ in 0..2 * READS {
        assert_eq!(get(reads.clone(), "c").await.expect("free"), "acme/alice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_over_both_processes() {
    let site = Site::new();
    let mut request =
        tonic::Request::new(confab_proto::conversations::v1::GetConversationRequest {
            conversation_id: "slow".to_owned(),
        });
    request.set_timeout(std::time::Duration::from_secs(3));
    let alice = site.of(Claims::user("acme", "alice"));
    let begun = tokio::time::Instant::now();
    let mut client =
        confab_proto::conversations::v1::conversations_service_client::ConversationsServiceClient::new(alice);
    let status = client.get_conversation(request).await.expect_err("too late");
    assert_eq!(Error::from_status(&status).reason(), Reason::DeadlineExceeded);
    assert_eq!(begun.elapsed().as_secs(), 3);
}
