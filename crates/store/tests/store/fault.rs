//! The fault-injecting wrapper: the same faults for the same seed, each of its kind.

use std::sync::{Arc, Mutex};

use confab_store::{
    StoreError,
    fault::{Faults, Rates},
};

type Landed = Arc<Mutex<Vec<u32>>>;

async fn write(faults: &Faults, landed: &Landed, n: u32) -> Result<u32, StoreError> {
    let landed = landed.clone();
    let write = move || async move {
        landed.lock().expect("no panic").push(n);
        Ok(n)
    };
    faults.wrap(write).await
}

fn landed(landed: &Landed) -> Vec<u32> {
    landed.lock().expect("no panic").clone()
}

fn only(rates: Rates) -> (Faults, Landed) {
    (Faults::new(1, rates), Landed::default())
}

#[tokio::test]
async fn before_has_no_effect_and_does_not_always_say_so() {
    let (faults, effects) = only(Rates { before: 1.0, ..Rates::default() });
    let mut determinate = 0;
    for n in 0..100 {
        let error = write(&faults, &effects, n).await.expect_err("a fault");
        determinate += u32::from(error.is_determinate());
    }
    assert!((20..80).contains(&determinate), "{determinate} of 100");
    assert!(landed(&effects).is_empty());
    assert_eq!(faults.release_late().await, 0);
}

#[tokio::test]
async fn after_has_its_effect_and_does_not_know() {
    let (faults, effects) = only(Rates { after: 1.0, ..Rates::default() });
    let error = write(&faults, &effects, 7).await.expect_err("a fault");
    assert!(!error.is_determinate());
    assert_eq!(landed(&effects), [7]);
}

#[tokio::test]
async fn late_has_its_effect_when_it_is_released() {
    let (faults, effects) = only(Rates { late: 1.0, ..Rates::default() });
    for n in 0..8 {
        let error = write(&faults, &effects, n).await.expect_err("a fault");
        assert!(!error.is_determinate());
    }
    assert_eq!((faults.late(), landed(&effects)), (8, vec![]));
    assert!(faults.release_one().await);
    assert_eq!((faults.late(), landed(&effects).len()), (7, 1));
    assert_eq!(faults.release_late().await, 7);
    let mut order = landed(&effects);
    assert_ne!(order, (0..8).collect::<Vec<_>>(), "released in order of arrival");
    order.sort_unstable();
    assert_eq!(order, (0..8).collect::<Vec<_>>());
    assert!(!faults.release_one().await);
}

#[tokio::test]
async fn one_seed_gives_one_history() {
    let rates = Rates { before: 0.2, after: 0.2, late: 0.2, latency: 0.3, landing: 0.2 };
    let mut histories = Vec::new();
    for seed in [3, 3, 4] {
        let (faults, effects) = (Faults::new(seed, rates), Landed::default());
        let mut answers = Vec::new();
        for n in 0..200 {
            answers.push(write(&faults, &effects, n).await.map_err(|e| e.to_string()));
        }
        faults.release_late().await;
        histories.push((answers, landed(&effects)));
    }
    assert_eq!(histories[0], histories[1]);
    assert_ne!(histories[0], histories[2]);
    assert!(histories[0].0.iter().any(Result::is_ok));
}

#[tokio::test]
async fn healed_and_none_do_nothing() {
    let (faults, effects) = only(Rates { before: 1.0, ..Rates::default() });
    let read = faults.wrap_read(|| async { Ok::<_, StoreError>(1) }).await;
    assert!(read.is_err_and(|error| error.is_determinate()));
    faults.set_rates(Rates::default());
    for faults in [faults, Faults::none()] {
        assert_eq!(write(&faults, &effects, 1).await.ok(), Some(1));
        let read = faults.wrap_read(|| async { Ok::<_, StoreError>(1) }).await;
        assert_eq!(read.ok(), Some(1));
    }
}
