//! A valid request of each RPC, for whoever makes it. No RPC has a default.

use confab_client::Client;
use confab_proto::{
    bus::v1::{self as bus},
    conversations::v1::{self as conversations, ConversationCursor, ConversationType},
    mesh::v1::{self as mesh},
    messages::v1::{self as messages, Content, append_request::Command},
    method::{METHODS, Method, RpcRequest},
    operations::v1 as operations,
    participants::v1::{self as participants, ReportCategory, ReportResolution, Role},
    realtime::v1::{
        self as realtime, ConnectRequest, Hello, PresenceStatus, SubscribeRequest, TypingState,
        connect_request,
    },
};
use confab_tests::harness::{Checked, Violation};
use prost::{Message as _, bytes::Bytes};
use prost_types::FieldMask;

use super::{
    expected::Scenario,
    people::{Room, TENANT},
};
use crate::raw::{encoded, hello};

/// How one RPC is called.
pub(super) struct Fixture {
    path: &'static str,
    /// What must have happened before.
    pub(super) before: Before,
    /// The request's bytes.
    pub(super) build: fn(&Room, Scenario) -> Bytes,
}

/// What must have happened to the room, so that the command changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    /// The caller has written a message, and reacted to it.
    Written,
    /// The same, and it is pinned.
    Pinned,
    Archived,
    Deleted,
}

impl Before {
    pub(super) const ALL: [Self; 5] =
        [Self::Nothing, Self::Written, Self::Pinned, Self::Archived, Self::Deleted];

    /// Whether the caller has to have written before.
    pub(super) fn is_about_own_message(self) -> bool {
        matches!(self, Self::Written | Self::Pinned)
    }

    /// Brings a room to where the command is possible.
    pub(super) async fn happen(self, owner: &Client, room: &Room) -> Checked {
        let conversation_id = room.id.clone();
        match self {
            Self::Nothing | Self::Written => {}
            Self::Pinned => {
                for seq in room.messages() {
                    owner.pin(&room.id, seq).await?;
                }
            }
            Self::Archived => {
                let archive = conversations::ArchiveConversationRequest {
                    conversation_id,
                    ..Default::default()
                };
                owner.command(archive).await?;
            }
            Self::Deleted => {
                let delete = conversations::DeleteConversationRequest {
                    conversation_id,
                    ..Default::default()
                };
                owner.command(delete).await?;
            }
        }
        Ok(())
    }
}

/// The fixture of an RPC.
pub(super) fn of(method: &Method) -> Checked<&'static Fixture> {
    let missing = || Violation::broken(format!("{} has no fixture", method.path));
    FIXTURES.iter().find(|fixture| fixture.path == method.path).ok_or_else(missing)
}

/// Every RPC has one fixture, and every fixture an RPC.
pub(super) fn cover_the_contract() -> Checked {
    for method in METHODS {
        of(method)?;
    }
    Violation::unless(FIXTURES.len() == METHODS.len(), || {
        format!("{} fixtures for {} RPCs", FIXTURES.len(), METHODS.len())
    })
}

/// A fixture by its request's type, whose fields are filled in by name.
macro_rules! fixture {
    ($area:ident :: $request:ident, $before:ident, $fill:expr) => {
        Fixture {
            path: <$area::$request as RpcRequest>::METHOD.path,
            before: Before::$before,
            build: |room, scenario| {
                let fill: fn(&mut $area::$request, &Room, Scenario) = $fill;
                let mut request = $area::$request::default();
                fill(&mut request, room, scenario);
                encoded(&request)
            },
        }
    };
}

/// A fixture of an RPC about a conversation.
macro_rules! about {
    ($area:ident :: $request:ident, $fill:expr) => {
        fixture!($area::$request, Nothing, |request, room, scenario| {
            request.conversation_id.clone_from(&room.id);
            let fill: fn(&mut $area::$request, &Room, Scenario) = $fill;
            fill(request, room, scenario);
        })
    };
}

/// A fixture of a command.
macro_rules! command {
    ($area:ident :: $request:ident, $before:ident, $fill:expr) => {
        fixture!($area::$request, $before, |request, room, scenario| {
            request.conversation_id.clone_from(&room.id);
            request.request_id = request_id(scenario);
            let fill: fn(&mut $area::$request, &Room, Scenario) = $fill;
            fill(request, room, scenario);
        })
    };
    ($area:ident :: $request:ident, $fill:expr) => {
        command!($area::$request, Nothing, $fill)
    };
    ($area:ident :: $request:ident on $user:literal) => {
        command!($area::$request, Nothing, |request, _, _| $user.clone_into(&mut request.user_id))
    };
}

/// A fixture of the mesh.
macro_rules! mesh {
    ($area:ident :: $request:ident, $fill:expr) => {
        fixture!($area::$request, Nothing, |request, room, scenario| {
            TENANT.clone_into(&mut request.tenant_id);
            let fill: fn(&mut $area::$request, &Room, Scenario) = $fill;
            fill(request, room, scenario);
        })
    };
}

fn request_id(scenario: Scenario) -> String {
    format!("p7-{scenario:?}")
}

fn content() -> Content {
    Content { text: "of a fixture".to_owned(), ..Content::default() }
}

/// Nobody's session.
const NO_SESSION: &str = "00000000-0000-4000-8000-000000000000";

/// Whom a request names: the caller, or for a backend somebody.
fn subject(scenario: Scenario) -> String {
    if scenario.is_user() { String::new() } else { "owner".to_owned() }
}

fn subscribe(_: &Room, _: Scenario) -> Bytes {
    encoded(&SubscribeRequest { hello: Some(Hello::default()) })
}

fn connect(_: &Room, _: Scenario) -> Bytes {
    let frame: connect_request::Frame = hello(&[]);
    ConnectRequest { frame: Some(frame) }.encode_to_vec().into()
}

static FIXTURES: &[Fixture] = &[
    // Conversations.
    fixture!(conversations::CreateConversationRequest, Nothing, |request, room, scenario| {
        request.request_id = format!("{}-{scenario:?}", &room.id[..8]);
        request.r#type = ConversationType::Group.into();
        "of a fixture".clone_into(&mut request.title);
    }),
    about!(conversations::GetConversationRequest, |_, _, _| {}),
    command!(conversations::UpdateConversationRequest, |request, _, scenario| {
        let title = format!("of {scenario:?}");
        request.update = Some(conversations::ConversationUpdate { title, ..Default::default() });
        request.update_mask = Some(FieldMask { paths: vec!["title".to_owned()] });
    }),
    command!(conversations::DeleteConversationRequest, |_, _, _| {}),
    command!(conversations::RestoreConversationRequest, Deleted, |_, _, _| {}),
    command!(conversations::ArchiveConversationRequest, |_, _, _| {}),
    command!(conversations::UnarchiveConversationRequest, Archived, |_, _, _| {}),
    fixture!(conversations::ListConversationsRequest, Nothing, |_, _, _| {}),
    fixture!(conversations::ListPublicChannelsRequest, Nothing, |_, _, _| {}),
    fixture!(conversations::CompareHeadsRequest, Nothing, |request, room, _| {
        request.cursors = vec![ConversationCursor { conversation_id: room.id.clone(), seq: 0 }];
    }),
    mesh!(conversations::LoadRowRequest, |request, room, _| {
        request.conversation_id.clone_from(&room.id);
    }),
    mesh!(conversations::ApplyRowRequest, |request, room, _| request.row = Some(old_row(room))),
    fixture!(conversations::ListRetainedRequest, Nothing, |request, _, _| {
        request.page_size = 1;
    }),
    // Participants.
    command!(participants::AddParticipantsRequest, |request, _, _| {
        request.user_ids = vec!["newcomer".to_owned()];
    }),
    command!(participants::RemoveParticipantRequest on "target"),
    command!(participants::LeaveConversationRequest, |_, _, _| {}),
    command!(participants::JoinConversationRequest, |_, _, _| {}),
    about!(participants::UpdateConversationSettingsRequest, |request, _, _| {
        request.update_mask = Some(FieldMask { paths: vec!["favourite".to_owned()] });
    }),
    about!(participants::ListParticipantsRequest, |_, _, _| {}),
    command!(participants::UpdateParticipantRoleRequest, |request, _, _| {
        "target".clone_into(&mut request.user_id);
        request.set_role(Role::Admin);
    }),
    command!(participants::TransferOwnershipRequest on "target"),
    command!(participants::KickParticipantRequest on "target"),
    command!(participants::BanParticipantRequest on "target"),
    command!(participants::UnbanParticipantRequest on "banned"),
    command!(participants::MuteParticipantRequest on "target"),
    command!(participants::UnmuteParticipantRequest on "muted"),
    about!(participants::ListBansRequest, |_, _, _| {}),
    fixture!(participants::ListInboxEventsRequest, Nothing, |_, _, _| {}),
    mesh!(participants::LoadMembersRequest, |request, room, _| {
        request.conversation_id.clone_from(&room.id);
        request.user_ids = vec!["owner".to_owned()];
    }),
    mesh!(participants::ApplyMembersRequest, |request, room, _| {
        request.conversation_id.clone_from(&room.id);
        request.seq = 1;
    }),
    mesh!(participants::ListMembershipsRequest, |request, _, _| {
        "owner".clone_into(&mut request.user_id);
    }),
    mesh!(participants::ListSharingRequest, |request, _, _| {
        "owner".clone_into(&mut request.user_id);
        request.other_ids = vec!["member".to_owned()];
    }),
    mesh!(participants::RecordReadRequest, |request, room, _| {
        request.conversation_id.clone_from(&room.id);
        "owner".clone_into(&mut request.user_id);
        request.read_seq = 1;
    }),
    mesh!(participants::FindBlocksRequest, |request, _, _| {
        "owner".clone_into(&mut request.user_id);
    }),
    mesh!(participants::EnforceBlocksRequest, |request, _, _| {
        "owner".clone_into(&mut request.user_id);
        "admin".clone_into(&mut request.other_id);
    }),
    fixture!(participants::SetParticipantCacheRequest, Nothing, |request, _, _| {
        request.enabled = true;
    }),
    mesh!(participants::ForgetParticipantsRequest, |request, room, _| {
        request.what =
            Some(participants::forget_participants_request::What::ConversationId(room.id.clone()));
    }),
    // Users and moderation.
    fixture!(participants::GetUserRequest, Nothing, |request, _, _| {
        "owner".clone_into(&mut request.user_id);
    }),
    fixture!(participants::BatchGetUsersRequest, Nothing, |request, _, _| {
        request.user_ids = vec!["owner".to_owned()];
    }),
    fixture!(participants::ListUsersRequest, Nothing, |_, _, _| {}),
    fixture!(participants::UpdateUserRequest, Nothing, |request, _, _| {
        request.update_mask = Some(FieldMask { paths: vec!["display_name".to_owned()] });
    }),
    fixture!(participants::BlockUserRequest, Nothing, |request, _, _| {
        "somebody".clone_into(&mut request.user_id);
    }),
    fixture!(participants::UnblockUserRequest, Nothing, |request, _, _| {
        "somebody".clone_into(&mut request.user_id);
    }),
    fixture!(participants::ListBlockedUsersRequest, Nothing, |_, _, _| {}),
    about!(participants::ReportMessageRequest, |request, room, scenario| {
        // Nobody reports their own.
        let sender = if scenario.user() == "owner" { "admin" } else { "owner" };
        request.message_seq = room.message_of(sender);
        request.set_category(ReportCategory::Spam);
    }),
    fixture!(participants::ListReportsRequest, Nothing, |_, _, _| {}),
    fixture!(participants::ResolveReportRequest, Nothing, |request, room, _| {
        request.report_id.clone_from(&room.report);
        request.set_resolution(ReportResolution::Dismissed);
    }),
    about!(participants::ListModerationActionsRequest, |_, _, _| {}),
    // Messages.
    command!(messages::SendMessageRequest, |request, _, _| request.content = Some(content())),
    about!(messages::GetMessageRequest, |request, room, scenario| {
        request.message_seq = room.message_of(scenario.user());
    }),
    about!(messages::ListMessagesRequest, |_, _, _| {}),
    command!(messages::EditMessageRequest, Written, |request, room, scenario| {
        request.message_seq = room.message_of(scenario.user());
        request.content = Some(content());
    }),
    command!(messages::DeleteMessageRequest, Written, |request, room, scenario| {
        request.message_seq = room.message_of(scenario.user());
    }),
    command!(messages::AddReactionRequest, Written, |request, room, scenario| {
        request.message_seq = room.message_of(scenario.user());
        "🎉".clone_into(&mut request.emoji);
    }),
    command!(messages::RemoveReactionRequest, Written, |request, room, scenario| {
        request.message_seq = room.message_of(scenario.user());
        "👍".clone_into(&mut request.emoji);
    }),
    about!(messages::ListReactionsRequest, |request, room, scenario| {
        request.message_seq = room.message_of(scenario.user());
    }),
    command!(messages::PinMessageRequest, Written, |request, room, scenario| {
        request.message_seq = room.message_of(scenario.user());
    }),
    command!(messages::UnpinMessageRequest, Pinned, |request, room, scenario| {
        request.message_seq = room.message_of(scenario.user());
    }),
    about!(messages::ListPinnedMessagesRequest, |_, _, _| {}),
    fixture!(messages::GetContentRulesRequest, Nothing, |_, _, _| {}),
    fixture!(messages::UpdateContentRulesRequest, Nothing, |_, _, _| {}),
    about!(messages::MarkReadRequest, |request, _, _| request.read_seq = 1),
    about!(messages::MarkDeliveredRequest, |request, _, _| request.delivered_seq = 1),
    about!(messages::ListReceiptsRequest, |_, _, _| {}),
    about!(messages::ListEventsRequest, |_, _, _| {}),
    mesh!(messages::AppendRequest, |request, room, scenario| {
        request.conversation_id.clone_from(&room.id);
        "owner".clone_into(&mut request.actor_id);
        request.request_id = request_id(scenario);
        let archive = messages::ConversationArchived {};
        request.command = Some(Command::ArchiveConversation(archive));
    }),
    fixture!(mesh::GreetRequest, Nothing, |_, _, _| {}),
    fixture!(bus::ListenRequest, Nothing, |_, _, _| {}),
    mesh!(messages::ObserveRequest, |request, room, _| {
        request.conversation_id.clone_from(&room.id);
        "owner".clone_into(&mut request.user_id);
    }),
    mesh!(messages::HeadsRequest, |request, room, _| {
        "owner".clone_into(&mut request.user_id);
        let conversation_id = room.id.clone();
        request.queries = vec![messages::HeadQuery { conversation_id, ..Default::default() }];
    }),
    // Operations.
    fixture!(operations::BackupRequest, Nothing, |request, _, _| {
        // Taken: none is made.
        request.path = std::env::temp_dir().to_string_lossy().into_owned();
    }),
    fixture!(operations::SetLogFilterRequest, Nothing, |request, _, _| {
        "info,fjall=warn,lsm_tree=warn".clone_into(&mut request.filter);
    }),
    // Realtime.
    Fixture {
        path: "/confab.realtime.v1.RealtimeService/Connect",
        before: Before::Nothing,
        build: connect,
    },
    Fixture {
        path: "/confab.realtime.v1.RealtimeService/Subscribe",
        before: Before::Nothing,
        build: subscribe,
    },
    fixture!(realtime::AcknowledgeRequest, Nothing, |request, _, _| {
        NO_SESSION.clone_into(&mut request.session_id);
    }),
    fixture!(realtime::ListSessionsRequest, Nothing, |request, _, scenario| {
        request.user_id = subject(scenario);
    }),
    fixture!(realtime::EndSessionRequest, Nothing, |request, _, scenario| {
        NO_SESSION.clone_into(&mut request.session_id);
        request.user_id = subject(scenario);
        request.revoke = true;
    }),
    fixture!(realtime::RevokeUserRequest, Nothing, |request, _, _| {
        // Nobody who is needed.
        "newcomer".clone_into(&mut request.user_id);
    }),
    about!(realtime::SendTypingRequest, |request, _, _| request.set_state(TypingState::Started)),
    fixture!(realtime::SetPresenceRequest, Nothing, |request, _, _| {
        request.set_status(PresenceStatus::Away);
    }),
];

/// A row as it was at event 1: valid, and older than what is stored.
fn old_row(room: &Room) -> conversations::ConversationRow {
    let time = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 };
    conversations::ConversationRow {
        conversation: Some(conversations::Conversation {
            conversation_id: room.id.clone(),
            r#type: ConversationType::Group.into(),
            creator_id: "owner".to_owned(),
            create_time: Some(time),
            update_time: Some(time),
            etag: "1".to_owned(),
            applied_seq: 1,
            ..Default::default()
        }),
        version_seq: 1,
        create_request_id: "of-a-fixture".to_owned(),
        create_digest: vec![0; 16],
    }
}
