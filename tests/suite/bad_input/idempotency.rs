//! Request ids that name something else already, and what a refusal says about
//! how long it holds.

use confab_kit::error::Reason;
use confab_proto::{
    messages::v1::{Content, DeleteMessageRequest, SendMessageRequest},
    participants::v1::MuteParticipantRequest,
};
use confab_tests::harness::{Checked, Violation};
use prost_types::Timestamp;

use super::{Place, is_refused, passes};

fn send(place: &Place, request_id: &str, text: &str) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: place.group.clone(),
        request_id: request_id.to_owned(),
        after_seq: 0,
        content: Some(Content { text: text.to_owned(), ..Default::default() }),
        ..SendMessageRequest::default()
    }
}

async fn reused_request_ids(place: &Place) -> Checked {
    let first = place.answers(&send(place, "once", "one")).await?;
    let again = place.answers(&send(place, "once", "one")).await?;
    Violation::unless(first == again, || "a retry was answered otherwise")?;
    place.refuses(&send(place, "once", "two"), Reason::RequestIdReused, &[]).await?;
    let delete = DeleteMessageRequest {
        conversation_id: place.group.clone(),
        request_id: "once".to_owned(),
        after_seq: 0,
        message_seq: 2,
    };
    place.refuses(&delete, Reason::RequestIdReused, &[]).await
}

/// `MUTED` says until when, as a time that people and programs can read.
async fn a_mute_says_its_end(place: &Place) -> Checked {
    let until = Timestamp { seconds: 4_000_000_000, nanos: 0 };
    let mute = MuteParticipantRequest {
        conversation_id: place.group.clone(),
        request_id: "mute".to_owned(),
        user_id: "walter".to_owned(),
        until: Some(until),
        ..Default::default()
    };
    place.answers(&mute).await?;
    let outcome = place.raw_as("walter").unary(&send(place, "muted", "x")).await?;
    let refused = is_refused("a muted send", outcome, Reason::Muted, &[])?;
    let said = refused.metadata.get("until").map(String::as_str);
    Violation::unless(said == Some("2096-10-02T07:06:40Z"), || format!("{refused:?}"))
}

async fn check() -> Checked {
    let place = Place::new().await?;
    reused_request_ids(&place).await?;
    a_mute_says_its_end(&place).await?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_and_mutes_say_what_they_hold() {
    passes(check().await);
}
