//! Contents: too long, empty, of the wrong characters.

use std::collections::BTreeMap;

use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{ConversationType, CreateConversationRequest, ListConversationsRequest},
    messages::v1::{AddReactionRequest, Content, EditMessageRequest, SendMessageRequest},
    participants::v1::KickParticipantRequest,
};
use confab_tests::harness::Checked;

use super::{Place, passes};
use crate::promises::program;

fn text(text: impl Into<String>) -> Content {
    Content { text: text.into(), attributes: BTreeMap::new(), ..Content::default() }
}

fn attributes(entries: impl IntoIterator<Item = (String, String)>) -> Content {
    Content { text: String::new(), attributes: entries.into_iter().collect(), ..Content::default() }
}

fn send(place: &Place, request_id: &str, content: Option<Content>) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: place.group.clone(),
        request_id: request_id.to_owned(),
        after_seq: 0,
        content,
        ..SendMessageRequest::default()
    }
}

/// This many bytes are a message, one more is not; neither as an edit.
async fn text_is_bounded(place: &Place, limit: usize) -> Checked {
    let bounds = [
        ("x".repeat(limit), "x".repeat(limit + 1)),
        ("é".repeat(limit / 2), {
            let pairs = "é".repeat(limit / 2);
            format!("{pairs}é")
        }),
    ];
    for (index, (fits, too_long)) in bounds.into_iter().enumerate() {
        let id = format!("bound-{index}");
        place.answers(&send(place, &id, Some(text(fits)))).await?;
        let refused = send(place, "too-long", Some(text(too_long.clone())));
        place.refuses(&refused, Reason::InvalidArgument, &["content.text"]).await?;
        let edit = EditMessageRequest {
            conversation_id: place.group.clone(),
            request_id: "too-long".to_owned(),
            after_seq: 0,
            message_seq: place.mallory.send(&place.group, "to edit").await?.seq,
            content: Some(text(too_long)),
        };
        place.refuses(&edit, Reason::InvalidArgument, &["content.text"]).await?;
    }
    Ok(())
}

async fn empty_content(place: &Place) -> Checked {
    for content in [None, Some(text("")), Some(text(" \n\t ")), Some(text("\u{3000}"))] {
        let empty = send(place, "empty", content);
        place.refuses(&empty, Reason::InvalidArgument, &["content"]).await?;
    }
    let one = [("key".to_owned(), String::new())];
    place.answers(&send(place, "attribute-only", Some(attributes(one)))).await.map(drop)
}

async fn attributes_are_bounded(place: &Place) -> Checked {
    let many = |count: usize| (0..count).map(|key| (format!("k{key}"), "v".repeat(1024)));
    place.answers(&send(place, "attributes", Some(attributes(many(32))))).await?;
    let wrong = [
        attributes(many(33)),
        attributes([("k".repeat(65), String::new())]),
        attributes([(String::new(), "v".to_owned())]),
        attributes([("k".to_owned(), "v".repeat(1025))]),
    ];
    for content in wrong {
        let request = send(place, "wrong", Some(content));
        place.refuses(&request, Reason::InvalidArgument, &["content.attributes"]).await?;
    }
    Ok(())
}

async fn control_characters(place: &Place) -> Checked {
    let nul = send(place, "nul", Some(text("a\0b")));
    place.refuses(&nul, Reason::InvalidArgument, &["content.text"]).await?;
    for emoji in ["", " ", "a b", "\u{7}", "\0", "a\u{200a}", &"x".repeat(33)] {
        let react = AddReactionRequest {
            conversation_id: place.group.clone(),
            request_id: "r".to_owned(),
            after_seq: 0,
            message_seq: 1,
            emoji: emoji.to_owned(),
        };
        place.refuses(&react, Reason::InvalidArgument, &["emoji"]).await?;
    }
    let create = |title: String, description: String| CreateConversationRequest {
        request_id: "r".to_owned(),
        r#type: ConversationType::Group.into(),
        title,
        description,
        ..Default::default()
    };
    for wrong in ["bell\u{7}", "nul\0", "escape\u{1b}[31m", &"é".repeat(2001)] {
        let fields: &[&str] = &["title", "description"];
        let create = create(wrong.to_owned(), wrong.to_owned());
        place.refuses(&create, Reason::InvalidArgument, fields).await?;
    }
    let title = create("é".repeat(201), "é".repeat(2000));
    place.refuses(&title, Reason::InvalidArgument, &["title"]).await?;
    let list = ListConversationsRequest { title_query: "é".repeat(201), ..Default::default() };
    place.refuses(&list, Reason::InvalidArgument, &["title_query"]).await?;
    for reason in ["bell\u{7}", &"é".repeat(501)] {
        let kick = KickParticipantRequest {
            conversation_id: place.group.clone(),
            request_id: "r".to_owned(),
            after_seq: 0,
            user_id: "walter".to_owned(),
            reason: reason.to_owned(),
        };
        place.refuses(&kick, Reason::InvalidArgument, &["reason"]).await?;
    }
    Ok(())
}

async fn check() -> Checked {
    let place = Place::new().await?;
    text_is_bounded(&place, 16 * 1024).await?;
    empty_content(&place).await?;
    attributes_are_bounded(&place).await?;
    control_characters(&place).await?;
    place.unharmed().await
}

async fn check_configured() -> Checked {
    let place = Place::with(program(None).env("CONFAB_LIMITS__TEXT_BYTES", "100")).await?;
    text_is_bounded(&place, 100).await?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_that_cannot_be_are_refused() {
    passes(check().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_text_is_configured() {
    passes(check_configured().await);
}
