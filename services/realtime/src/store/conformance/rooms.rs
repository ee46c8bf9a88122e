//! What every kind of rooms must do: with two processes, and time that passes by
//! itself or not.

use std::future::Future;

use confab_log::UserId;

use super::{tenant, user};
use crate::store::{Rooms, Said, Status, Word};

/// Runs everything, each part with two processes that share nothing with those of the
/// others.
pub async fn run<R, F, W>(make: F)
where
    R: Rooms,
    F: Fn() -> W,
    W: Future<Output = [R; 2]>,
{
    nobody_is_in_an_empty_room(&entered(&make).await).await;
    who_is_at_one_is_seen_at_both(&entered(&make).await).await;
    who_is_at_both_leaves_with_the_last_stream(&entered(&make).await).await;
    what_is_said_counts_everywhere_and_ends_with_the_stay(&entered(&make).await).await;
    of_two_words_the_later_one_stays(&entered(&make).await).await;
    who_enters_anew_replaces_its_words(&entered(&make).await).await;
    who_has_not_entered_is_refused(&make().await).await;
    users_are_kept_apart(&entered(&make).await).await;
}

async fn entered<R: Rooms, W: Future<Output = [R; 2]>>(make: impl Fn() -> W) -> [R; 2] {
    let rooms = make().await;
    for process in &rooms {
        process.enter().await.expect("entered");
    }
    rooms
}

async fn tell(rooms: &impl Rooms, word: Word) -> Option<Said> {
    rooms.tell(&tenant("acme"), &user("alice"), &word).await.expect("told")
}

async fn ask(rooms: &impl Rooms) -> Option<Said> {
    let asked = rooms.ask(&tenant("acme"), &[user("alice")]).await.expect("asked");
    assert_eq!(asked.len(), 1, "one answer for each");
    asked.into_iter().next().flatten()
}

/// What both say, which must be the same.
async fn both<R: Rooms>(rooms: &[R; 2]) -> Option<(Status, String)> {
    let [one, other] = [ask(&rooms[0]).await, ask(&rooms[1]).await];
    assert_eq!(one, other);
    one.map(|said| (said.status, said.text))
}

fn here() -> Word {
    Word::Here(None)
}

fn away(text: &str, at: i64) -> Said {
    Said { status: Status::Away, text: text.to_owned(), at }
}

fn as_away(text: &str) -> (Status, String) {
    (Status::Away, text.to_owned())
}

fn online() -> (Status, String) {
    (Status::Online, String::new())
}

async fn nobody_is_in_an_empty_room<R: Rooms>(rooms: &[R; 2]) {
    assert_eq!(both(rooms).await, None);
    assert_eq!(rooms[0].ask(&tenant("acme"), &[]).await.expect("asked"), []);
    assert_eq!(tell(&rooms[0], Word::Gone).await, None);
    assert_eq!(tell(&rooms[0], Word::Says(away("?", 0))).await, None, "who is not here");
    assert_eq!(both(rooms).await, None);
}

async fn who_is_at_one_is_seen_at_both<R: Rooms>(rooms: &[R; 2]) {
    let told = tell(&rooms[0], here()).await.expect("here");
    assert_eq!((told.status, told.text.as_str()), (Status::Online, ""));
    assert_eq!(both(rooms).await, Some(online()));
    tell(&rooms[0], here()).await.expect("still here");
    assert_eq!(tell(&rooms[1], Word::Gone).await.map(|said| said.status), Some(Status::Online));
    assert_eq!(both(rooms).await, Some(online()));
    assert_eq!(tell(&rooms[0], Word::Gone).await, None);
    assert_eq!(both(rooms).await, None);
}

async fn who_is_at_both_leaves_with_the_last_stream<R: Rooms>(rooms: &[R; 2]) {
    tell(&rooms[0], here()).await.expect("here");
    tell(&rooms[1], here()).await.expect("here");
    tell(&rooms[0], Word::Gone).await.expect("still at the other");
    assert_eq!(both(rooms).await, Some(online()));
    assert_eq!(tell(&rooms[1], Word::Gone).await, None);
    assert_eq!(both(rooms).await, None);
}

async fn what_is_said_counts_everywhere_and_ends_with_the_stay<R: Rooms>(rooms: &[R; 2]) {
    tell(&rooms[0], here()).await.expect("here");
    let said = tell(&rooms[1], Word::Says(away("lunch", 0))).await.expect("here");
    assert!(said.at > 0, "its time is known: {said:?}");
    assert_eq!(both(rooms).await, Some(as_away("lunch")));
    assert_eq!(tell(&rooms[1], here()).await, Some(said), "to arrive says nothing");
    tell(&rooms[0], Word::Gone).await.expect("still at the other");
    assert_eq!(both(rooms).await, Some(as_away("lunch")));
    assert_eq!(tell(&rooms[1], Word::Gone).await, None);
    tell(&rooms[1], here()).await.expect("here");
    assert_eq!(both(rooms).await, Some(online()));
}

async fn of_two_words_the_later_one_stays<R: Rooms>(rooms: &[R; 2]) {
    tell(&rooms[0], Word::Here(Some(away("second", 20)))).await.expect("here");
    tell(&rooms[1], Word::Here(Some(away("first", 10)))).await.expect("here");
    assert_eq!(both(rooms).await, Some(as_away("second")));
    tell(&rooms[1], Word::Here(Some(away("third", 30)))).await.expect("here");
    assert_eq!(both(rooms).await, Some(as_away("third")));
    // Whatever the clock of who said that, what is said now is later.
    let far = away("far", 1 << 52);
    tell(&rooms[1], Word::Here(Some(far))).await.expect("here");
    tell(&rooms[0], Word::Here(Some(away("now", 0)))).await.expect("here");
    assert_eq!(both(rooms).await, Some(as_away("now")));
}

async fn who_enters_anew_replaces_its_words<R: Rooms>(rooms: &[R; 2]) {
    tell(&rooms[0], Word::Here(Some(away("lunch", 0)))).await.expect("here");
    rooms[0].enter().await.expect("entered");
    assert_eq!(both(rooms).await, Some(as_away("lunch")), "what it said before still holds");
    assert_eq!(tell(&rooms[0], Word::Gone).await, None);
    assert_eq!(both(rooms).await, None);
}

async fn who_has_not_entered_is_refused<R: Rooms>(rooms: &[R; 2]) {
    let [one, _] = rooms;
    one.stay().await.expect_err("unknown");
    one.ask(&tenant("acme"), &[user("alice")]).await.expect_err("unknown");
    one.tell(&tenant("acme"), &user("alice"), &here()).await.expect_err("unknown");
}

async fn users_are_kept_apart<R: Rooms>(rooms: &[R; 2]) {
    tell(&rooms[0], Word::Here(Some(away("lunch", 0)))).await.expect("here");
    let users: Vec<UserId> = (0..200).map(|number| user(&format!("u{number}"))).collect();
    for one in users.iter().step_by(3) {
        let told = rooms[1].tell(&tenant("acme"), one, &here()).await.expect("told");
        assert_eq!(told.map(|said| said.text), Some(String::new()));
    }
    let asked = rooms[0].ask(&tenant("acme"), &users).await.expect("asked");
    assert_eq!(asked.len(), users.len());
    for (number, said) in asked.iter().enumerate() {
        assert_eq!(said.is_some(), number % 3 == 0, "in the order asked: {number}");
    }
    let other = rooms[0].ask(&tenant("other"), &[user("alice")]).await.expect("asked");
    assert_eq!(other, [None]);
}
