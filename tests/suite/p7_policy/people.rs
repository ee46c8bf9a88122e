//! Everyone who calls, and a room in which each of them stands as their name
//! says.

use std::collections::HashMap;

use confab_client::Client;
use confab_kit::identity::Claims;
use confab_proto::participants::v1::{
    BanParticipantRequest, MuteParticipantRequest, ReportCategory, ReportMessageRequest, Role,
    UpdateUserRequest, User,
};
use confab_tests::harness::{Checked, Node, Violation};
use prost_types::FieldMask;

use super::{MESH_CREDENTIAL, Scenario};
use crate::raw::Raw;

/// The tenant of everyone but one.
pub(super) const TENANT: &str = "acme";
/// Those who are in the room at first; `target` is who is acted upon.
const PARTICIPANTS: [&str; 6] = ["admin", "member", "muted", "former", "banned", "target"];

/// Connections, tokens and clients.
pub(super) struct People {
    pub(super) public: Raw,
    pub(super) mesh: Raw,
    tokens: HashMap<&'static str, String>,
    clients: HashMap<&'static str, Client>,
}

/// A conversation with one of each.
pub(super) struct Room {
    pub(super) id: String,
    /// The message of each writer; each has a 👍 of its sender.
    messages: HashMap<&'static str, u64>,
    /// The member's report of the owner's message, where both have written.
    pub(super) report: String,
}

impl People {
    pub(super) async fn of(node: &Node) -> Checked<Self> {
        let signer = node.tokens()?;
        let token = |scenario: Scenario| match scenario {
            Scenario::NoToken => String::new(),
            Scenario::ExpiredToken => signer.expired(TENANT, "owner"),
            Scenario::OtherTenant => signer.user("other", "owner"),
            Scenario::Application => signer.application(TENANT, "owner"),
            Scenario::TenantAdmin => signer.sign(&Claims::tenant_admin(TENANT, "owner")),
            _ => signer.user(TENANT, scenario.user()),
        };
        let tokens = Scenario::ALL.map(|scenario| (scenario.name(), token(scenario)));
        let mut clients = HashMap::new();
        for user in ["owner", "admin", "member", "muted", "former", "banned"] {
            clients.insert(user, node.client(TENANT, user).await?);
        }
        let user = Some(User { display_name: "Owner".to_owned(), ..User::default() });
        let update_mask = Some(FieldMask { paths: vec!["display_name".to_owned()] });
        clients["owner"].call(UpdateUserRequest { user, update_mask }).await?;
        Ok(Self {
            public: Raw::connect(node.uri()).await?,
            mesh: Raw::connect(format!("http://{}", node.mesh())).await?,
            tokens: tokens.into(),
            clients,
        })
    }

    /// The public port, as this caller.
    pub(super) fn public_as(&self, scenario: Scenario) -> Raw {
        self.with_token(&self.public, scenario)
    }

    /// The mesh's port, as this caller, without the credential.
    pub(super) fn mesh_as(&self, scenario: Scenario) -> Raw {
        self.with_token(&self.mesh, scenario)
    }

    /// The mesh's port, with the credential.
    pub(super) fn mesh_member(&self) -> Raw {
        self.mesh.header("x-confab-mesh", MESH_CREDENTIAL)
    }

    fn with_token(&self, raw: &Raw, scenario: Scenario) -> Raw {
        match self.tokens.get(scenario.name()) {
            Some(token) if !token.is_empty() => raw.token(token),
            _ => raw.clone(),
        }
    }

    pub(super) fn owner(&self) -> &Client {
        &self.clients["owner"]
    }

    /// The last event of a room.
    pub(super) async fn head(&self, room: &Room) -> Checked<u64> {
        Ok(self.owner().events_after(&room.id, 0, 1).await?.1)
    }

    /// A new room in which these have written and reacted.
    pub(super) async fn room(&self, writers: &[&'static str]) -> Checked<Room> {
        let owner = self.owner();
        let id = owner.create_group("room", &PARTICIPANTS).await?.conversation_id;
        let mut messages = HashMap::new();
        for &user in writers {
            let message = self.clients[user].send(&id, "hello").await?;
            self.clients[user].react(&id, message.seq, "👍").await?;
            messages.insert(user, message.seq);
        }
        let mut report = String::new();
        if let (Some(&message_seq), true) = (messages.get("owner"), writers.contains(&"member")) {
            let conversation_id = id.clone();
            let mut about =
                ReportMessageRequest { conversation_id, message_seq, ..Default::default() };
            about.set_category(ReportCategory::Other);
            report = self.clients["member"].call(about).await?.report_id;
        }
        owner.set_role(&id, "admin", Role::Admin).await?;
        let (conversation_id, user_id) = (id.clone(), "muted".to_owned());
        let mute = MuteParticipantRequest { conversation_id, user_id, ..Default::default() };
        owner.command(mute).await?;
        owner.remove_participant(&id, "former").await?;
        let (conversation_id, user_id) = (id.clone(), "banned".to_owned());
        let ban = BanParticipantRequest { conversation_id, user_id, ..Default::default() };
        owner.command(ban).await?;
        Ok(Room { id, messages, report })
    }

    /// A new room in which everyone has written.
    pub(super) async fn full_room(&self) -> Checked<Room> {
        self.room(&["owner", "admin", "member", "muted", "former", "banned"]).await
    }
}

impl Room {
    /// All messages.
    pub(super) fn messages(&self) -> impl Iterator<Item = u64> {
        self.messages.values().copied()
    }

    /// A message that the caller has written; the owner's for who never did.
    pub(super) fn message_of(&self, user: &str) -> u64 {
        self.messages.get(user).or_else(|| self.messages.get("owner")).copied().unwrap_or(0)
    }
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::NoToken => "no token",
            Self::ExpiredToken => "expired token",
            Self::OtherTenant => "other tenant",
            Self::Application => "application",
            Self::TenantAdmin => "tenant admin",
            user => user.user(),
        }
    }
}

/// A refusal of the set-up is no finding about policies.
pub(super) fn unable(violation: Violation) -> Violation {
    match violation {
        Violation::Broken(what) => Violation::Unable(what),
        unable @ Violation::Unable(_) => unable,
    }
}
