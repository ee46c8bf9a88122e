//! P8: tenants never meet. Two tenants have the same users, with the same names,
//! who use the same request ids. Neither finds anything of the other: not by id,
//! not in a list, not in an inbox, not on a stream, not by asking for it in a
//! header.

use std::{collections::BTreeMap, time::Duration};

use confab_client::{Client, text};
use confab_proto::{
    conversations::v1::{
        ArchiveConversationRequest, CompareHeadsRequest, ConversationCursor, ConversationType,
        ConversationUpdate, CreateConversationRequest, DeleteConversationRequest,
        GetConversationRequest, ListConversationsRequest, RestoreConversationRequest,
        UnarchiveConversationRequest, UpdateConversationRequest,
    },
    errors::v1::Reason,
    messages::v1::{
        AddReactionRequest, DeleteMessageRequest, EditMessageRequest, GetMessageRequest,
        ListEventsRequest, ListMessagesRequest, ListReactionsRequest, ListReceiptsRequest,
        MarkDeliveredRequest, MarkReadRequest, RemoveReactionRequest, SendMessageRequest,
        event::Kind,
    },
    participants::v1::{
        AddParticipantsRequest, BanParticipantRequest, InboxEvent, KickParticipantRequest,
        LeaveConversationRequest, ListBansRequest, ListInboxEventsRequest, ListParticipantsRequest,
        MuteParticipantRequest, RemoveParticipantRequest, TransferOwnershipRequest,
        UnbanParticipantRequest, UnmuteParticipantRequest, UpdateParticipantRoleRequest,
    },
    realtime::v1::{
        AcknowledgeRequest, EndSessionRequest, Hello, ListSessionsRequest, PresenceStatus,
        SendTypingRequest, SetPresenceRequest, TypingState, connect_response::Frame,
    },
};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, must_be_caught, within};

use super::{
    can_be_clustered, program,
    raw_stream::{Brought, RawStream, Way},
    support::{WHOLE, once},
};

const TENANTS: [&str; 2] = ["one", "two"];

/// A tenant's Alice and what is hers.
struct Side {
    tenant: &'static str,
    alice: Client,
    bob: Client,
    group: String,
    direct: String,
}

impl Side {
    async fn new(confab: &Deployment, tenant: &'static str) -> Checked<Self> {
        let alice = confab.client(tenant, "alice").await?;
        let bob = confab.client(tenant, "bob").await?;
        let create = CreateConversationRequest {
            request_id: "the-same-group".to_owned(),
            r#type: ConversationType::Group.into(),
            participant_ids: vec!["bob".to_owned()],
            title: format!("of {tenant}"),
            ..CreateConversationRequest::default()
        };
        let group = alice.call(create).await?.conversation.unwrap_or_default().conversation_id;
        let direct = alice.open_direct("bob").await?.conversation_id;
        for id in [&group, &direct] {
            let request = SendMessageRequest {
                conversation_id: id.clone(),
                request_id: "the-same-id".to_owned(),
                after_seq: 0,
                content: Some(text(format!("only for {tenant}"))),
                ..SendMessageRequest::default()
            };
            alice.call(request).await?;
        }
        Ok(Self { tenant, alice, bob, group, direct })
    }
}

/// Asks each, of a conversation of the other tenant, and is told that there is none.
macro_rules! not_found {
    ($stranger:ident, $id:ident, $($request:ident { $($field:ident: $value:expr),* $(,)? })*) => {$(
        let mut request = $request::default();
        request.conversation_id = $id.to_owned();
        $(request.$field = $value;)*
        let answer = once($stranger, request).await;
        let reason = answer.as_ref().err().and_then(confab_client::Error::reason);
        Violation::unless(reason == Some(Reason::ConversationNotFound), || {
            format!("{} of the other tenant: {answer:?}", stringify!($request))
        })?;
    )*};
}

/// Reads, and commands on messages.
async fn no_messages(stranger: &Client, id: &str) -> Checked {
    let request_id = || "intruder".to_owned();
    not_found!(stranger, id,
        GetConversationRequest {}
        GetMessageRequest { message_seq: 2 }
        ListMessagesRequest {}
        ListEventsRequest {}
        ListParticipantsRequest {}
        ListReactionsRequest { message_seq: 2 }
        ListReceiptsRequest {}
        ListBansRequest {}
        MarkReadRequest { read_seq: 1 }
        MarkDeliveredRequest { delivered_seq: 1 }
        SendTypingRequest { state: TypingState::Started.into() }
        SendMessageRequest { request_id: request_id(), content: Some(text("hello?")) }
        EditMessageRequest { request_id: request_id(), message_seq: 2, content: Some(text("no")) }
        DeleteMessageRequest { request_id: request_id(), message_seq: 2 }
        AddReactionRequest { request_id: request_id(), message_seq: 2, emoji: "+1".to_owned() }
        RemoveReactionRequest { request_id: request_id(), message_seq: 2, emoji: "+1".to_owned() }
    );
    let cursors = vec![ConversationCursor { conversation_id: id.to_owned(), seq: 0 }];
    let moved = once(stranger, CompareHeadsRequest { cursors }).await?.moved;
    Violation::unless(moved.is_empty(), || format!("heads of the other tenant: {moved:?}"))
}

/// Commands on the conversation and its participants.
async fn no_command(stranger: &Client, id: &str) -> Checked {
    let request_id = || "intruder".to_owned();
    let user_id = || "bob".to_owned();
    not_found!(stranger, id,
        UpdateConversationRequest {
            request_id: request_id(),
            update: Some(ConversationUpdate { title: "mine".to_owned(), ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["title".to_owned()] }),
        }
        DeleteConversationRequest { request_id: request_id() }
        RestoreConversationRequest { request_id: request_id() }
        ArchiveConversationRequest { request_id: request_id() }
        UnarchiveConversationRequest { request_id: request_id() }
        AddParticipantsRequest { request_id: request_id(), user_ids: vec!["mallory".to_owned()] }
        RemoveParticipantRequest { request_id: request_id(), user_id: user_id() }
        LeaveConversationRequest { request_id: request_id() }
        UpdateParticipantRoleRequest { request_id: request_id(), user_id: user_id(), role: 2 }
        TransferOwnershipRequest { request_id: request_id(), user_id: user_id() }
        KickParticipantRequest { request_id: request_id(), user_id: user_id() }
        BanParticipantRequest { request_id: request_id(), user_id: user_id() }
        UnbanParticipantRequest { request_id: request_id(), user_id: user_id() }
        MuteParticipantRequest { request_id: request_id(), user_id: user_id() }
        UnmuteParticipantRequest { request_id: request_id(), user_id: user_id() }
    );
    Ok(())
}

/// Lists and inboxes hold two conversations each: one's own.
async fn only_own_lists(side: &Side, other: &Side) -> Checked {
    for user in [&side.alice, &side.bob] {
        let listed = once(user, ListConversationsRequest::default()).await?.conversations;
        let texts: Vec<String> = listed
            .iter()
            .filter_map(|item| item.head.as_ref()?.last_message.as_ref()?.content.as_ref())
            .map(|content| content.text.clone())
            .collect();
        let own = format!("only for {}", side.tenant);
        Violation::unless(texts == [own.clone(), own], || {
            format!("{} lists {texts:?}", side.tenant)
        })?;
        let inbox = once(user, ListInboxEventsRequest::default()).await?.events;
        let foreign = |event: &&InboxEvent| event.conversation_id == other.group;
        Violation::unless(inbox.len() == 2 && !inbox.iter().any(|event| foreign(&event)), || {
            format!("the inbox of {} holds {inbox:?}", side.tenant)
        })?;
    }
    Ok(())
}

/// The other's page tokens and sessions are no one's.
async fn nothing_by_token(side: &Side, other: &Side) -> Checked {
    let list = ListConversationsRequest { page_size: 1, ..Default::default() };
    let page_token = once(&other.alice, list.clone()).await?.next_page_token;
    Violation::unless(!page_token.is_empty(), || "one page holds two conversations".to_owned())?;
    let answer = once(&side.alice, ListConversationsRequest { page_token, ..list }).await;
    let reason = answer.as_ref().err().and_then(confab_client::Error::reason);
    Violation::unless(reason == Some(Reason::InvalidPageToken), || {
        format!("a page token of the other tenant: {answer:?}")
    })?;
    let stream =
        RawStream::watch(&other.alice, &BTreeMap::from([(other.group.clone(), 0)])).await??;
    let resumed = RawStream::resume(&side.alice, &stream.welcome.session_id).await?;
    Violation::unless(resumed.is_err_and(|status| status.code() == tonic::Code::NotFound), || {
        "a session of the other tenant was resumed".to_owned()
    })?;
    no_session(&side.alice, &stream.welcome.session_id).await
}

/// Neither listed, nor acknowledged, nor ended, though its owner has the same name.
async fn no_session(stranger: &Client, session_id: &str) -> Checked {
    let listed = once(stranger, ListSessionsRequest::default()).await?.sessions;
    let foreign = listed.iter().any(|session| session.session_id == session_id);
    Violation::unless(!foreign, || format!("a session of the other tenant: {listed:?}"))?;
    let session_id = session_id.to_owned();
    let acknowledge =
        AcknowledgeRequest { session_id: session_id.clone(), inbox_seq: Some(1), cursors: vec![] };
    let end = EndSessionRequest { session_id, user_id: String::new(), revoke: true };
    let answers = [
        once(stranger, acknowledge).await.err().and_then(|error| error.reason()),
        once(stranger, end).await.err().and_then(|error| error.reason()),
    ];
    Violation::unless(answers == [Some(Reason::SessionNotFound); 2], || {
        format!("a session of the other tenant: {answers:?}")
    })
}

/// The other's bob is here and says so; one's own has never been.
async fn presence_stays_at_home(side: &Side, other: &Side) -> Checked {
    let theirs = RawStream::watch(&other.bob, &BTreeMap::new()).await??;
    let status = PresenceStatus::Away.into();
    let away = SetPresenceRequest { status, text: "a secret".to_owned() };
    let set = once(&other.bob, away).await?.presence.unwrap_or_default();
    Violation::unless(set.status() == PresenceStatus::Away, || format!("not here: {set:?}"))?;
    let hello = Hello { presence: vec!["bob".to_owned()], ..Hello::default() };
    let mut stream = RawStream::open(&side.alice, Way::Connect, hello).await??;
    loop {
        let Brought::Other(frame) = stream.next().await? else { continue };
        let Frame::Presence(presence) = *frame else { continue };
        let absent = presence.status() == PresenceStatus::Offline && presence.text.is_empty();
        drop(theirs);
        return Violation::unless(absent, || format!("bob of the other tenant: {presence:?}"));
    }
}

/// A token of one tenant and a header that names the other.
async fn headers_change_nothing(side: &Side, other: &Side) -> Checked {
    let mut request =
        tonic::Request::new(GetConversationRequest { conversation_id: other.group.clone() });
    let tenant = other.tenant.parse().map_err(Violation::unable)?;
    request.metadata_mut().insert("x-tenant", tenant);
    let answer = side.alice.conversations().get_conversation(request).await;
    Violation::unless(answer.as_ref().is_err_and(|s| s.code() == tonic::Code::NotFound), || {
        format!("a header opens the other tenant: {answer:?}")
    })
}

/// A stream that asks for the other's conversation is refused it, and hears of
/// nothing that happens there.
async fn streams_hear_nothing(side: &Side, other: &Side) -> Checked {
    let cursors = BTreeMap::from([(side.group.clone(), 2), (other.group.clone(), 0)]);
    let mut stream = RawStream::watch(&side.alice, &cursors).await??;
    other.bob.send(&other.group, "a secret").await?;
    side.bob.send(&side.group, "the end").await?;
    let mut refused = false;
    loop {
        match stream.next().await? {
            Brought::Event(event) => {
                Violation::unless(event.conversation_id == side.group, || {
                    "an event of the other tenant".to_owned()
                })?;
                if matches!(&event.kind, Some(Kind::MessageCreated(_))) && refused {
                    return Ok(());
                }
            }
            Brought::Ended(id, reason) => {
                let expected = Reason::ConversationNotFound as i32;
                Violation::unless(id == other.group && reason == expected, || {
                    format!("the watch of {id} ends with {reason}")
                })?;
                refused = true;
                if stream.cursors.get(&side.group).is_some_and(|seq| *seq >= 3) {
                    return Ok(());
                }
            }
            Brought::Other(frame) => {
                let Frame::Head(head) = *frame else { continue };
                Violation::unless(head.conversation_id != other.group, || {
                    "a head of the other tenant".to_owned()
                })?;
            }
            Brought::Gone(why) => return Err(Violation::broken(format!("gone: {why:?}"))),
        }
    }
}

async fn run(shape: Shape, mutant: Option<&str>) -> Checked {
    let confab = Deployment::start(shape, program(mutant)).await?;
    let one = Side::new(&confab, TENANTS[0]).await?;
    let two = Side::new(&confab, TENANTS[1]).await?;
    for (side, other) in [(&one, &two), (&two, &one)] {
        let same = side.group == other.group || side.direct == other.direct;
        Violation::unless(!same, || "two tenants have one id".to_owned())?;
        for id in [&other.group, &other.direct] {
            no_messages(&side.alice, id).await?;
            no_command(&side.alice, id).await?;
        }
        nothing_by_token(side, other).await?;
        only_own_lists(side, other).await?;
        headers_change_nothing(side, other).await?;
    }
    // One way only: then bob of the other tenant has never been here.
    within(Duration::from_secs(30), "presence", presence_stays_at_home(&one, &two)).await??;
    for (side, other) in [(&one, &two), (&two, &one)] {
        within(Duration::from_secs(30), "a stream", streams_hear_nothing(side, other)).await??;
    }
    confab.finish()
}

async fn checked(shape: Shape, mutant: Option<&str>) -> Checked {
    within(WHOLE, "the tenants", Box::pin(run(shape, mutant))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_never_meet() {
    checked(Shape::Single, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_never_meet_in_a_mesh() {
    checked(Shape::Mesh, None).await.unwrap_or_else(|violation| panic!("{violation}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_never_meet_in_a_cluster() {
    if can_be_clustered("promises::p8_tenants::tenants_never_meet_in_a_cluster").await {
        checked(Shape::Cluster, None).await.unwrap_or_else(|violation| panic!("{violation}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_from_a_header_is_caught_in_a_mesh() {
    let mutant = "tenant-from-header";
    must_be_caught(mutant, checked(Shape::Mesh, Some(mutant)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_a_tenant_are_caught() {
    must_be_caught("tenant-key-dropped", checked(Shape::Single, Some("tenant-key-dropped")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_from_a_header_is_caught() {
    must_be_caught("tenant-from-header", checked(Shape::Single, Some("tenant-from-header")).await);
}
