//! Budgets hold over every window, refuse for exactly as long as they say, and
//! belong to one user of one tenant.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::{
    config::Limits,
    identity::{Claims, DevKey},
};

const SECOND: u64 = 1_000_000_000;

/// Times of calls that are let through, out of calls that come after these pauses.
fn admitted(quotas: [Option<Quota>; 2], pauses: &[u64]) -> Vec<u64> {
    let (mut states, mut now, mut times) = ([0; 2], 0, Vec::new());
    for pause in pauses {
        now += pause;
        if let Ok(next) = gcra::admit_both(quotas, states, now) {
            states = next;
            times.push(now);
        }
    }
    times
}

/// The most that a budget lets through in a window, wherever it begins.
fn bound(limit: u32, period: Duration, window: u64) -> u64 {
    let more = u128::from(window) * u128::from(limit) / period.as_nanos();
    u64::from(limit) + u64::try_from(more).expect("not that many")
}

/// Bursts, even trickles, and long pauses.
fn pauses() -> impl Strategy<Value = Vec<u64>> {
    let pause = prop_oneof![
        4 => Just(0),
        3 => 0..SECOND / 10,
        2 => 0..3 * SECOND,
        1 => 0..400 * SECOND,
    ];
    proptest::collection::vec(pause, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_window_has_more_than_the_limit_and_what_has_come_back(
        limit in 1u32..40, per_hour in 1u32..80, pauses in pauses(),
    ) {
        let quotas = [Quota::new(limit, MINUTE), Quota::new(per_hour, HOUR)];
        let times = admitted(quotas, &pauses);
        for (from, begin) in times.iter().enumerate() {
            for (index, end) in times[from..].iter().enumerate() {
                let count = u64::try_from(index + 1).expect("small");
                prop_assert!(count <= bound(limit, MINUTE, end - begin));
                prop_assert!(count <= bound(per_hour, HOUR, end - begin));
            }
        }
    }

    #[test]
    fn nothing_below_the_even_pace_is_ever_refused(limit in 1u32..1000, calls in 1usize..200) {
        let pace = u64::try_from(MINUTE.as_nanos()).expect("small").div_ceil(u64::from(limit));
        let quotas = [Quota::new(limit, MINUTE), None];
        prop_assert_eq!(admitted(quotas, &vec![pace; calls]).len(), calls);
    }

    #[test]
    fn a_refusal_says_exactly_when_the_call_passes(
        limit in 1u32..40, per_hour in 1u32..80, pauses in pauses(),
    ) {
        let quotas = [Quota::new(limit, MINUTE), Quota::new(per_hour, HOUR)];
        let (mut states, mut now) = ([0; 2], 0);
        for pause in pauses {
            now += pause;
            match gcra::admit_both(quotas, states, now) {
                Ok(next) => states = next,
                Err(delay) => {
                    let then = now + gcra::nanos(delay);
                    prop_assert!(gcra::admit_both(quotas, states, then).is_ok());
                    prop_assert!(gcra::admit_both(quotas, states, then - 1).is_err());
                }
            }
        }
    }
}

#[test]
fn a_budget_is_a_burst_and_then_an_even_pace() {
    let quotas = [Quota::new(60, MINUTE), None];
    let pauses: Vec<u64> = std::iter::repeat_n(0, 100).chain([SECOND; 10]).collect();
    let times = admitted(quotas, &pauses);
    assert_eq!(times.iter().filter(|time| **time == 0).count(), 60);
    assert_eq!(times.len(), 70);
}

#[test]
fn what_one_limit_refuses_is_charged_to_neither() {
    let quotas = [Quota::new(100, MINUTE), Quota::new(1, HOUR)];
    let states = gcra::admit_both(quotas, [0; 2], 0).expect("the first passes");
    assert_eq!(gcra::admit_both(quotas, states, 0), Err(HOUR));
    let store = MemoryBudgets::default();
    let key = BudgetKey([1; 16]);
    assert_eq!(store.take_now(key, quotas), Ok(()));
    for _ in 0..1000 {
        assert!(store.take_now(key, quotas).is_err());
    }
    // The minute's budget has 99 left.
    let minute = [quotas[0], None];
    assert!((0..99).all(|_| store.take_now(key, minute).is_ok()));
}

#[test]
fn zero_is_no_limit_and_no_number_overflows() {
    assert_eq!(Quota::new(0, MINUTE), None);
    assert_eq!(gcra::admit_both([None; 2], [0; 2], 5), Ok([0; 2]));
    let quota = Quota::new(u32::MAX, Duration::MAX).expect("a quota");
    assert!(quota.admit(u64::MAX, u64::MAX).is_ok());
    assert!(Quota::new(1, Duration::MAX).expect("a quota").admit(u64::MAX, 0).is_err());
}

#[tokio::test(start_paused = true)]
async fn idle_budgets_are_dropped_and_their_number_is_bounded() {
    let store = MemoryBudgets::default();
    let quotas = [Quota::new(1, MINUTE), None];
    let key = |number: u128| BudgetKey(number.to_be_bytes());
    for number in 0..100_000 {
        assert!(store.take_now(key(number), quotas).is_ok());
    }
    assert_eq!(store.len(), 100_000);
    tokio::time::advance(MINUTE).await;
    for number in 100_000..300_000 {
        assert!(store.take_now(key(number), quotas).is_ok());
    }
    assert!(store.len() <= 200_000, "{} entries", store.len());
    for number in 300_000..2_000_000 {
        assert!(store.take_now(key(number), quotas).is_ok());
    }
    assert!(store.len() <= 64 * 16_384, "{} entries", store.len());
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    config.rates.enabled = Some(true);
    config.rates.send = Rate { per_minute: 2, per_hour: 0 };
    config.rates.create = Rate { per_minute: 0, per_hour: 0 };
    change(&mut config);
    config
}

async fn caller(claims: Claims) -> Caller {
    let key = DevKey::ephemeral().expect("a key");
    let verifier = key.verifier().expect("a verifier");
    verifier.verify(&key.sign(claims)).await.expect("passes")
}

/// How many of so many calls pass.
async fn passing(budgets: &Budgets, caller: &Caller, class: &'static str, calls: usize) -> usize {
    let mut passed = 0;
    for _ in 0..calls {
        passed += usize::from(budgets.charge(caller, class).await.is_ok());
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn each_user_of_each_tenant_has_budgets_of_their_own() {
    let budgets = Budgets::new(&config(|_| {}));
    let alice = caller(Claims::user("acme", "alice")).await;
    assert_eq!(passing(&budgets, &alice, "send", 5).await, 2);
    // Another device of hers shares them; nobody else does.
    let same = caller(Claims { device_id: Some("b".into()), ..Claims::user("acme", "alice") });
    assert_eq!(passing(&budgets, &same.await, "send", 5).await, 0);
    for claims in [Claims::user("acme", "bob"), Claims::user("other", "alice")] {
        assert_eq!(passing(&budgets, &caller(claims).await, "send", 5).await, 2);
    }
    assert_eq!(passing(&budgets, &alice, "write", 5).await, 5);
    assert_eq!(passing(&budgets, &alice, "create", 500).await, 500);
    let error = budgets.charge(&alice, "send").await.expect_err("used up");
    assert_eq!((error.reason(), error.metadata("class")), (Reason::RateLimited, Some("send")));
    let delay = error.retry_delay().expect("RetryInfo");
    assert_eq!(delay, Duration::from_secs(30));
    tokio::time::advance(delay).await;
    assert_eq!(passing(&budgets, &alice, "send", 5).await, 1);
}

#[tokio::test(start_paused = true)]
async fn applications_and_admins_may_do_more_and_the_mesh_anything() {
    let budgets = Budgets::new(&config(|config| config.rates.application_factor = 3));
    for claims in [Claims::application("acme", "alice"), Claims::tenant_admin("acme", "alice")] {
        assert_eq!(passing(&budgets, &caller(claims).await, "send", 10).await, 6);
    }
    let alice = caller(Claims::user("acme", "alice")).await;
    assert_eq!(passing(&budgets, &alice, "send", 10).await, 2);
    let mesh = Caller::mesh().expect("the mesh");
    assert_eq!(passing(&budgets, &mesh, "send", 100).await, 100);
    assert_eq!(passing(&budgets, &alice, "mesh", 100).await, 100);
}

#[tokio::test(start_paused = true)]
async fn dev_mode_has_no_limits_unless_asked() {
    let alice = caller(Claims::user("acme", "alice")).await;
    let dev = Budgets::new(&Config::default());
    assert_eq!(passing(&dev, &alice, "send", 5000).await, 5000);
    let mut config = Config::default();
    config.auth.jwks_url = Some("https://issuer.example/keys".into());
    let real = Budgets::new(&config);
    assert_eq!(passing(&real, &alice, "send", 5000).await, 60);
    config.rates.enabled = Some(false);
    assert_eq!(passing(&Budgets::new(&config), &alice, "send", 5000).await, 5000);
}

#[tokio::test]
async fn a_user_has_so_many_streams_and_one_that_ends_makes_room() {
    let limits = Limits { streams_per_user: Some(3), ..Limits::default() };
    let budgets = Budgets::new(&Config { limits, ..Config::default() });
    let alice = caller(Claims::user("acme", "alice")).await;
    let bob = caller(Claims::user("acme", "bob")).await;
    let mut open: VecDeque<_> =
        (0..3).map(|_| budgets.open_stream(&alice).expect("room")).collect();
    let error = budgets.open_stream(&alice).expect_err("no room");
    assert_eq!((error.reason(), error.metadata("limit")), (Reason::TooManyStreams, Some("3")));
    assert!(error.retry_delay().is_some());
    assert!(budgets.open_stream(&bob).is_ok());
    open.pop_front();
    assert!(budgets.open_stream(&alice).is_ok());
}
