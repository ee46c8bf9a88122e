//! What a user may use is counted, and what is beyond it refused.

use super::*;

/// A tiny service whose users have small budgets.
fn limited(change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config::default();
    config.rates.enabled = Some(true);
    config.rates.read = Rate { per_minute: 3, per_hour: 0 };
    change(&mut config);
    World { budgets: Budgets::new(&config), ..World::new() }
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_the_budget_is_refused_with_the_time_to_come_back() {
    let world = limited(|_| {});
    let channel = world.channel(Port::Public);
    let alice = channel.with_token(&world.token(Claims::user("acme", "alice")));
    for _ in 0..3 {
        assert!(get(alice.clone(), "c").await.is_ok());
    }
    let error = refused(alice.clone(), "c").await;
    assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, Reason::RateLimited));
    assert_eq!(error.metadata("class"), Some("read"));
    let delay = error.retry_delay().expect("RetryInfo");
    assert!(delay <= Duration::from_secs(20), "{delay:?}");
    assert!(telemetry::render().contains("confab_rate_limited_total{class=\"read\"}"));
    let bob = channel.with_token(&world.token(Claims::user("acme", "bob")));
    assert!(get(bob, "c").await.is_ok());
    let namesake = channel.with_token(&world.token(Claims::user("other", "alice")));
    assert!(get(namesake, "c").await.is_ok());
    tokio::time::advance(delay).await;
    assert!(get(alice.clone(), "c").await.is_ok());
    assert_eq!(refused(alice, "c").await.reason(), Reason::RateLimited);
}

#[tokio::test]
async fn other_processes_are_not_charged_to_the_user() {
    let world = limited(|_| {});
    let token = world.token(Claims::user("acme", "alice"));
    let public = world.channel(Port::Public).with_token(&token);
    let other = Credential::generate();
    for _ in 0..20 {
        let inner = public.with_mesh_credential(&world.credential);
        assert!(get(inner, "c").await.is_ok());
        let mesh = world.channel(Port::Mesh).with_mesh_credential(&world.credential);
        assert!(get(mesh.with_token(&token), "c").await.is_ok());
    }
    // Who only pretends is charged.
    let pretender = public.with_mesh_credential(&other);
    for _ in 0..3 {
        assert!(get(pretender.clone(), "c").await.is_ok());
    }
    assert_eq!(refused(pretender, "c").await.reason(), Reason::RateLimited);
}

#[tokio::test]
async fn who_proves_nothing_is_charged_nothing() {
    let world = limited(|_| {});
    let bare = world.channel(Port::Public);
    let bot = bare.with_token(&world.token(Claims::tenant_admin("acme", "alice")));
    for _ in 0..10 {
        assert_eq!(refused(bare.clone(), "c").await.reason(), Reason::MissingToken);
        assert_eq!(refused(bot.clone(), "c").await.reason(), Reason::CallerNotAllowed);
    }
    assert!(get(bare.with_token(&world.token(Claims::user("acme", "alice"))), "c").await.is_ok());
}

#[tokio::test]
async fn a_stream_holds_its_place_until_it_ends() {
    let world = limited(|config| {
        config.limits.streams_per_user = Some(2);
        config.rates.connect = Rate { per_minute: 4, per_hour: 0 };
    });
    let alice = RealtimeServiceClient::new(world.alice());
    let open = async || {
        let requests = frames(vec![Frame::Ping(Ping::default())]);
        let stream = alice.clone().connect(requests).await;
        stream.map_err(|status| Error::from_status(&status).reason())
    };
    let first = open().await.expect("room");
    let _second = open().await.expect("room");
    for _ in 0..10 {
        assert_eq!(open().await.expect_err("no room"), Reason::TooManyStreams);
    }
    assert!(telemetry::render().contains("confab_streams_refused_total"));
    drop(first);
    // Those that were refused were charged to no budget: 4 may be opened in all.
    let third = open().await.expect("room again");
    drop(third);
    let fourth = open().await.expect("room again");
    drop(fourth);
    assert_eq!(open().await.expect_err("too many a minute"), Reason::RateLimited);
    // Refused openings hold no place.
    assert_eq!(open().await.expect_err("too many a minute"), Reason::RateLimited);
}
