//! Ids, seqs, cursors, enums, page sizes and masks that cannot be.

use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{
        CompareHeadsRequest, ConversationCursor, ConversationType, ConversationUpdate,
        CreateConversationRequest, GetConversationRequest, ListConversationsRequest,
        UpdateConversationRequest,
    },
    messages::v1::{
        AddReactionRequest, Content, DeleteMessageRequest, GetMessageRequest, ListEventsRequest,
        ListMessagesRequest, ListReactionsRequest, ListReceiptsRequest, MarkDeliveredRequest,
        MarkReadRequest, SendMessageRequest,
    },
    method::{METHODS, Target},
    participants::v1::{
        AddParticipantsRequest, BanParticipantRequest, ListBansRequest, ListInboxEventsRequest,
        ListParticipantsRequest, MuteParticipantRequest, UpdateParticipantRoleRequest,
    },
};
use confab_tests::harness::{Checked, Violation};
use prost_types::{FieldMask, Timestamp};

use super::{Place, passes};
use crate::raw::reason_name;

/// Well-formed, and nobody's.
const UNKNOWN: &str = "00000000000000000000000000000000";

fn long(length: usize) -> String {
    "x".repeat(length)
}

/// The field that names the conversation is the first of every such request.
async fn malformed_conversation_ids(place: &Place) -> Checked {
    let upper = UNKNOWN.replace('0', "A");
    let (short, longer, huge) = (long(31), long(33), long(100_000));
    let ids = ["", "nonsense", &upper, &short, &longer, &huge, "../../etc/passwd", "\0", "äöü"];
    for method in METHODS.iter().filter(|method| !method.is_mesh()) {
        let Some(Target::Conversation { .. }) = method.policy.as_ref().map(|p| p.target) else {
            continue;
        };
        for id in ids {
            let request = GetConversationRequest { conversation_id: id.to_owned() };
            let bytes = crate::raw::encoded(&request);
            let outcome = place.raw.bytes(method.path, &bytes).await?;
            let refused = outcome.err();
            let named = refused.as_ref().is_some_and(|refused| {
                refused.reason == reason_name(Reason::InvalidArgument)
                    && refused.fields.iter().any(|field| field == "conversation_id")
            });
            Violation::unless(named, || {
                let id: String = id.chars().take(40).collect();
                format!("{} of {id:?}: {refused:?}", method.path)
            })?;
        }
    }
    Ok(())
}

async fn unknown_ids(place: &Place) -> Checked {
    // One that nobody has, and one that is somebody else's: the same answer.
    let foreign = place.neighbours.conversation.clone();
    for conversation_id in [UNKNOWN.to_owned(), foreign] {
        let none = Reason::ConversationNotFound;
        let get = GetConversationRequest { conversation_id: conversation_id.clone() };
        place.refuses(&get, none, &[]).await?;
        let send = SendMessageRequest {
            conversation_id: conversation_id.clone(),
            request_id: "r".to_owned(),
            content: Some(Content { text: "hi".to_owned(), ..Default::default() }),
            after_seq: u64::MAX,
            ..SendMessageRequest::default()
        };
        place.refuses(&send, none, &[]).await?;
        let list =
            ListEventsRequest { conversation_id: conversation_id.clone(), ..Default::default() };
        place.refuses(&list, none, &[]).await?;
        let read = MarkReadRequest { conversation_id: conversation_id.clone(), read_seq: u64::MAX };
        place.refuses(&read, none, &[]).await?;
        let cursors = vec![ConversationCursor { conversation_id, seq: 0 }];
        let told = place.answers(&CompareHeadsRequest { cursors }).await?;
        Violation::unless(told.is_empty(), || format!("CompareHeads told {told:?}"))?;
    }
    for message_seq in [1, 1000, u64::MAX] {
        let get = GetMessageRequest { conversation_id: place.group.clone(), message_seq };
        place.refuses(&get, Reason::MessageNotFound, &[]).await?;
        let delete = DeleteMessageRequest {
            conversation_id: place.group.clone(),
            request_id: "r".to_owned(),
            message_seq,
            after_seq: 0,
        };
        place.refuses(&delete, Reason::MessageNotFound, &[]).await?;
    }
    let get = GetMessageRequest { conversation_id: place.group.clone(), message_seq: 0 };
    place.refuses(&get, Reason::InvalidArgument, &["message_seq"]).await
}

async fn malformed_names(place: &Place) -> Checked {
    let (too_long, fits) = (long(65), long(64));
    for request_id in ["", " ", "a b", "a/b", "ü", "a\n", "a\0", &too_long] {
        let mut send = SendMessageRequest {
            conversation_id: place.group.clone(),
            request_id: request_id.to_owned(),
            content: Some(Content { text: "hi".to_owned(), ..Default::default() }),
            after_seq: 0,
            ..SendMessageRequest::default()
        };
        place.refuses(&send, Reason::InvalidArgument, &["request_id"]).await?;
        send.request_id.clone_from(&fits);
        place.answers(&send).await?;
        let create = CreateConversationRequest {
            request_id: request_id.to_owned(),
            r#type: ConversationType::Group.into(),
            ..Default::default()
        };
        place.refuses(&create, Reason::InvalidArgument, &["request_id"]).await?;
    }
    let too_long = long(129);
    for user in ["", "a b", "a/b", "ü", "a\0b", &too_long] {
        let mut add = AddParticipantsRequest {
            conversation_id: place.group.clone(),
            request_id: "r".to_owned(),
            user_ids: vec!["fine".to_owned(), user.to_owned()],
            after_seq: 0,
        };
        place.refuses(&add, Reason::InvalidArgument, &["user_ids[1]"]).await?;
        add.user_ids.clear();
        place.refuses(&add, Reason::InvalidArgument, &["user_ids"]).await?;
    }
    Ok(())
}

async fn unknown_enum_values(place: &Place) -> Checked {
    let create =
        CreateConversationRequest { request_id: "r".to_owned(), r#type: 99, ..Default::default() };
    place.refuses(&create, Reason::InvalidArgument, &["type"]).await?;
    let list = ListConversationsRequest { r#type: 99, ..Default::default() };
    place.refuses(&list, Reason::InvalidArgument, &["type"]).await?;
    for role in [-1, 0, 3, 99] {
        let update = UpdateParticipantRoleRequest {
            conversation_id: place.group.clone(),
            request_id: "r".to_owned(),
            user_id: "walter".to_owned(),
            role,
            after_seq: 0,
        };
        place.refuses(&update, Reason::InvalidArgument, &["role"]).await?;
    }
    let list = ListMessagesRequest {
        conversation_id: place.group.clone(),
        order: 99,
        ..Default::default()
    };
    place.refuses(&list, Reason::InvalidArgument, &["order"]).await
}

/// A negative page size is refused, a huge one is cut to the maximum.
async fn page_sizes(place: &Place) -> Checked {
    macro_rules! check {
        ($request:ident { $($field:ident: $value:expr),* }) => {
            for page_size in [-1, i32::MIN] {
                let request = $request { $($field: $value,)* page_size, ..Default::default() };
                place.refuses(&request, Reason::InvalidArgument, &["page_size"]).await?;
            }
            let request = $request { $($field: $value,)* page_size: i32::MAX, ..Default::default() };
            place.answers(&request).await?;
        };
    }
    let seq = place.mallory.send(&place.group, "to react to").await?.seq;
    check!(ListConversationsRequest {});
    check!(ListInboxEventsRequest {});
    check!(ListParticipantsRequest { conversation_id: place.group.clone() });
    check!(ListBansRequest { conversation_id: place.group.clone() });
    check!(ListMessagesRequest { conversation_id: place.group.clone() });
    check!(ListReactionsRequest { conversation_id: place.group.clone(), message_seq: seq });
    check!(ListReceiptsRequest { conversation_id: place.group.clone() });
    check!(ListEventsRequest { conversation_id: place.group.clone() });
    Ok(())
}

async fn cursors_above_the_head(place: &Place) -> Checked {
    let (_, head) = place.mallory.events_after(&place.group, 0, 1).await?;
    let conversation_id = place.group.clone();
    for seq in [head + 1, u64::MAX] {
        let read = MarkReadRequest { conversation_id: conversation_id.clone(), read_seq: seq };
        place.refuses(&read, Reason::CursorAboveHead, &[]).await?;
        let delivered =
            MarkDeliveredRequest { conversation_id: conversation_id.clone(), delivered_seq: seq };
        place.refuses(&delivered, Reason::CursorAboveHead, &[]).await?;
        let react = AddReactionRequest {
            conversation_id: conversation_id.clone(),
            request_id: "above".to_owned(),
            after_seq: seq,
            message_seq: head,
            emoji: "👍".to_owned(),
        };
        place.refuses(&react, Reason::AfterSeqAboveHead, &[]).await?;
        let list = ListEventsRequest {
            conversation_id: conversation_id.clone(),
            after_seq: seq,
            page_size: 0,
        };
        place.answers(&list).await?;
    }
    let read = MarkReadRequest { conversation_id: conversation_id.clone(), read_seq: 0 };
    place.refuses(&read, Reason::InvalidArgument, &["read_seq"]).await?;
    let delivered = MarkDeliveredRequest { conversation_id, delivered_seq: 0 };
    place.refuses(&delivered, Reason::InvalidArgument, &["delivered_seq"]).await
}

async fn impossible_times(place: &Place) -> Checked {
    let times = [
        (0, 0),
        (1, 0),
        (-1, 0),
        (i64::MAX, 0),
        (i64::MIN, 0),
        (253_402_300_800, 0),
        (4_000_000_000, -1),
    ];
    for (seconds, nanos) in times {
        let until = Some(Timestamp { seconds, nanos });
        let mute = MuteParticipantRequest {
            conversation_id: place.group.clone(),
            request_id: "r".to_owned(),
            user_id: "walter".to_owned(),
            until,
            ..Default::default()
        };
        place.refuses(&mute, Reason::InvalidArgument, &["until"]).await?;
        let ban = BanParticipantRequest {
            conversation_id: place.group.clone(),
            request_id: "r".to_owned(),
            user_id: "walter".to_owned(),
            until,
            ..Default::default()
        };
        place.refuses(&ban, Reason::InvalidArgument, &["until"]).await?;
    }
    Ok(())
}

/// Stale etags, etags that never were, and masks of nothing or of more than there is.
async fn etags_and_masks(place: &Place) -> Checked {
    let update = |etag: &str, title: &str, paths: &[&str]| UpdateConversationRequest {
        conversation_id: place.group.clone(),
        request_id: format!("etag-{title}-{}", etag.len()),
        after_seq: 0,
        update: Some(ConversationUpdate { title: title.to_owned(), ..Default::default() }),
        update_mask: Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() }),
        etag: etag.to_owned(),
    };
    let get = || place.mallory.get_conversation(place.group.as_str());
    let first = get().await?.0.etag;
    place.answers(&update(&first, "new", &["title"])).await?;
    let current = get().await?.0.etag;
    let outcome = place.raw.unary(&update(&first, "newer", &["title"])).await?;
    let refused = super::is_refused("a stale etag", outcome, Reason::EtagMismatch, &[])?;
    Violation::unless(refused.metadata.get("etag") == Some(&current), || {
        format!("the current etag is {current}: {refused:?}")
    })?;
    for etag in ["x", "0", "01", "+1", "-1", " 1", "99999999999999999999"] {
        let update = update(etag, "x", &["title"]);
        place.refuses(&update, Reason::InvalidArgument, &["etag"]).await?;
    }
    place.refuses(&update("", "x", &[]), Reason::InvalidArgument, &["update_mask"]).await?;
    for path in ["creator_id", "*", "", "title.x", "Title"] {
        let update = update("", "x", &[path]);
        place.refuses(&update, Reason::InvalidArgument, &["update_mask"]).await?;
    }
    Ok(())
}

/// All at once, but no more than trailers hold.
async fn too_many_violations(place: &Place) -> Checked {
    let add = AddParticipantsRequest {
        conversation_id: "x".repeat(10_000),
        request_id: "y".repeat(10_000),
        user_ids: vec!["not a user ".repeat(100); 100],
        after_seq: 0,
    };
    let compare = CompareHeadsRequest {
        cursors: vec![ConversationCursor { conversation_id: long(200), seq: 0 }; 1000],
    };
    let outcomes = [place.raw.unary(&add).await?, place.raw.unary(&compare).await?];
    for outcome in outcomes {
        let refused = outcome.err();
        let capped = refused.as_ref().is_some_and(|refused| {
            refused.reason == reason_name(Reason::InvalidArgument)
                && refused.fields.len() == 20
                && refused.violation_bytes <= 4096
        });
        Violation::unless(capped, || format!("{refused:?}"))?;
    }
    let few = AddParticipantsRequest { user_ids: vec!["a b".to_owned()], ..Default::default() };
    let outcome = place.raw.unary(&few).await?;
    let mut fields = outcome.err().map(|refused| refused.fields).unwrap_or_default();
    fields.sort();
    Violation::unless(fields == ["conversation_id", "request_id", "user_ids[0]"], || {
        format!("not all at once: {fields:?}")
    })
}

async fn check() -> Checked {
    let place = Place::new().await?;
    malformed_conversation_ids(&place).await?;
    unknown_ids(&place).await?;
    malformed_names(&place).await?;
    unknown_enum_values(&place).await?;
    page_sizes(&place).await?;
    cursors_above_the_head(&place).await?;
    impossible_times(&place).await?;
    etags_and_masks(&place).await?;
    too_many_violations(&place).await?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_cannot_be_are_named() {
    passes(check().await);
}
