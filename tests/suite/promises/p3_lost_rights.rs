//! P3 for those who have lost the right to send since: they get the old answers to
//! their old requests, and refusals for new ones; also after a restart.

use confab_client::{Client, ClientOptions, text};
use confab_proto::{
    conversations::v1::{
        ArchiveConversationRequest, ConversationUpdate, DeleteConversationRequest,
        UpdateConversationRequest,
    },
    errors::v1::Reason,
    messages::v1::{DeleteMessageRequest, EditMessageRequest, SendMessageRequest},
    participants::v1::{
        AddParticipantsRequest, BanParticipantRequest, KickParticipantRequest,
        LeaveConversationRequest, MuteParticipantRequest, RemoveParticipantRequest, Role,
        UpdateParticipantRoleRequest,
    },
};
use confab_tests::harness::{Checked, Node, Violation, must_be_caught};

use super::{
    p3_idempotent::{must_hold, reused, send, settle},
    program,
};

/// How a sender loses the right to send, and what a new request is told then.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Removed,
    Kicked,
    Left,
    Muted,
    Banned,
    Archived,
    Deleted,
}

const LOSSES: &[(Loss, Reason)] = &[
    (Loss::Removed, Reason::NotAParticipant),
    (Loss::Kicked, Reason::NotAParticipant),
    (Loss::Left, Reason::NotAParticipant),
    (Loss::Muted, Reason::Muted),
    (Loss::Banned, Reason::Banned),
    (Loss::Archived, Reason::ConversationArchived),
    (Loss::Deleted, Reason::ConversationDeleted),
];

async fn lose(loss: Loss, owner: &Client, bob: &Client, id: &str) -> Checked {
    let conversation_id = id.to_owned();
    let user_id = "bob".to_owned();
    match loss {
        Loss::Removed => {
            let request =
                RemoveParticipantRequest { conversation_id, user_id, ..Default::default() };
            owner.command(request).await.map(drop)
        }
        Loss::Kicked => {
            let request = KickParticipantRequest { conversation_id, user_id, ..Default::default() };
            owner.command(request).await.map(drop)
        }
        Loss::Left => {
            let request = LeaveConversationRequest { conversation_id, ..Default::default() };
            bob.command(request).await.map(drop)
        }
        Loss::Muted => {
            let request = MuteParticipantRequest { conversation_id, user_id, ..Default::default() };
            owner.command(request).await.map(drop)
        }
        Loss::Banned => {
            let request = BanParticipantRequest { conversation_id, user_id, ..Default::default() };
            owner.command(request).await.map(drop)
        }
        Loss::Archived => {
            let request = ArchiveConversationRequest { conversation_id, ..Default::default() };
            owner.command(request).await.map(drop)
        }
        Loss::Deleted => {
            let request = DeleteConversationRequest { conversation_id, ..Default::default() };
            owner.command(request).await.map(drop)
        }
    }?;
    Ok(())
}

/// Whoever has lost the right gets the old answers, and refusals for the rest;
/// What Bob did while he could, and how he lost the right.
struct Past {
    loss: Loss,
    reason: Reason,
    first: SendMessageRequest,
    edit: EditMessageRequest,
    delete: DeleteMessageRequest,
    /// What each of the three was answered with.
    answers: [u64; 3],
}

impl Past {
    async fn make(owner: &Client, bob: &Client, loss: Loss, reason: Reason) -> Checked<Self> {
        let id = owner.create_group(format!("{loss:?}"), &["bob"]).await?.conversation_id;
        let first = send(&id, "first", 1, "hello");
        let message_seq = settle(bob, first.clone()).await?;
        let edit = EditMessageRequest {
            conversation_id: id.clone(),
            request_id: "edit".to_owned(),
            after_seq: 0,
            message_seq,
            content: Some(text("hello again")),
        };
        let edited = settle(bob, edit.clone()).await?;
        let delete = DeleteMessageRequest {
            conversation_id: id.clone(),
            request_id: "delete".to_owned(),
            after_seq: edited,
            message_seq,
        };
        let deleted = settle(bob, delete.clone()).await?;
        lose(loss, owner, bob, &id).await?;
        Ok(Self { loss, reason, first, edit, delete, answers: [message_seq, edited, deleted] })
    }

    /// The old answers to the old requests, and refusals for the rest.
    async fn check(&self, bob: &Client) -> Checked {
        let loss = self.loss;
        let again = [
            settle(bob, self.first.clone()).await?,
            settle(bob, self.edit.clone()).await?,
            settle(bob, self.delete.clone()).await?,
        ];
        Violation::unless(again == self.answers, || {
            format!("{loss:?}: {:?} before, and {again:?} now", self.answers)
        })?;
        let other = SendMessageRequest { content: Some(text("no")), ..self.first.clone() };
        let other = settle(bob, other).await;
        Violation::unless(reused(&other), || format!("{loss:?}: another body: {other:?}"))?;
        let new = SendMessageRequest { request_id: "new".to_owned(), ..self.first.clone() };
        let new = settle(bob, new).await;
        let refused = new.as_ref().is_err_and(|error| error.reason() == Some(self.reason));
        Violation::unless(refused, || format!("{loss:?}: a new request got {new:?}"))
    }
}

/// before and after a restart.
async fn lost_rights(mutant: Option<&str>) -> Checked {
    let mut node = Node::start(program(mutant)).await?;
    let proxy = node.proxy().await?;
    let tokens = node.tokens()?;
    let connect = async |user: &str| {
        let options = ClientOptions::new(proxy.uri()).token(tokens.user("dev", user));
        Client::connect(options).await.map_err(Violation::from)
    };
    let (owner, bob) = (connect("owner").await?, connect("bob").await?);
    let mut pasts = Vec::new();
    for (loss, reason) in LOSSES {
        pasts.push(Past::make(&owner, &bob, *loss, *reason).await?);
    }
    for past in &pasts {
        past.check(&bob).await?;
    }
    node.kill9();
    node.restart().await?;
    for past in &pasts {
        past.check(&bob).await?;
    }
    demoted(&owner, &connect("admin").await?).await?;
    node.finish()
}

/// An admin's command, asked again as a member.
async fn demoted(owner: &Client, admin: &Client) -> Checked {
    let id = owner.create_group("demoted", &["admin"]).await?.conversation_id;
    owner.set_role(&id, "admin", Role::Admin).await?;
    let add = AddParticipantsRequest {
        conversation_id: id.clone(),
        request_id: "add".to_owned(),
        after_seq: 0,
        user_ids: vec!["carol".to_owned()],
    };
    let role = UpdateParticipantRoleRequest {
        conversation_id: id.clone(),
        user_id: "admin".to_owned(),
        role: Role::Member.into(),
        ..UpdateParticipantRoleRequest::default()
    };
    let update = UpdateConversationRequest {
        conversation_id: id.clone(),
        request_id: "update".to_owned(),
        update: Some(ConversationUpdate { title: "new".to_owned(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["title".to_owned()] }),
        ..UpdateConversationRequest::default()
    };
    let added = settle(admin, add.clone()).await?;
    let updated = settle(admin, update.clone()).await?;
    owner.command(role).await?;
    let again = (settle(admin, add.clone()).await?, settle(admin, update).await?);
    Violation::unless(again == (added, updated), || format!("a former admin got {again:?}"))?;
    let new = settle(admin, AddParticipantsRequest { request_id: "new".to_owned(), ..add }).await;
    let refused = new.as_ref().is_err_and(|error| error.reason() == Some(Reason::RoleTooLow));
    Violation::unless(refused, || format!("a former admin's new request got {new:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_after_losing_the_right_get_the_same_answer() {
    must_hold(lost_rights(None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusing_before_looking_for_the_id_is_caught() {
    let mutant = "refusal-before-known";
    must_be_caught(mutant, lost_rights(Some(mutant)).await);
}
