//! People with ideas: they do to one conversation whatever comes to their minds, by
//! a seed, and look whether it is there once it is acknowledged.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use confab_client::{Client, Error};
use confab_proto::{
    conversations::v1::{
        ArchiveConversationRequest, ConversationUpdate, GetConversationRequest,
        UnarchiveConversationRequest, UpdateConversationRequest,
    },
    errors::v1::Reason,
    messages::v1::{GetMessageRequest, UnpinMessageRequest},
    participants::v1::{
        BanParticipantRequest, KickParticipantRequest, MuteParticipantRequest, Role,
        UnbanParticipantRequest, UnmuteParticipantRequest,
    },
};
use confab_tests::harness::{Checked, Violation};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

/// Those who come and go.
pub(crate) const CHURN: &[&str] = &["carol", "dave", "erin", "frank"];
const EMOJI: &[&str] = &["+1", "heart", "smile"];
/// The messages up to here are changed the most and never deleted.
const HOT: u64 = 6;

/// One user with ideas.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) name: &'static str,
    pub(crate) id: String,
    /// The highest seq that anybody heard of.
    pub(crate) head: Arc<AtomicU64>,
    /// Reads after each acknowledgement.
    pub(crate) looks: bool,
    pub(crate) random: StdRng,
}

/// What an acknowledged deed changed, to be looked for at once.
enum Changed {
    Message(u64),
    Participant(String),
    Conversation,
}

impl Person {
    pub(crate) async fn live(mut self, deeds: u64) -> Checked<Self> {
        for _ in 0..deeds {
            match self.deed().await {
                Ok((seq, changed)) => {
                    self.head.fetch_max(seq, Ordering::Relaxed);
                    if self.looks {
                        self.look(seq, &changed).await?;
                    }
                }
                Err(error) if is_coded(&error) => {}
                Err(error) => {
                    let text = format!("{} got no coded answer: {error}", self.name);
                    return Err(Violation::broken(text));
                }
            }
        }
        Ok(self)
    }

    fn whom(&mut self) -> String {
        (*CHURN.choose(&mut self.random).unwrap_or(&"carol")).to_owned()
    }

    async fn deed(&mut self) -> Result<(u64, Changed), Error> {
        let head = self.head.load(Ordering::Relaxed).max(1);
        // Half of it happens to the same few messages.
        let hot = self.random.random_ratio(1, 2);
        let message = self.random.random_range(1..=if hot { head.min(HOT) } else { head });
        let kind = self.random.random_range(0..27);
        let (client, id) = (self.client.clone(), self.id.clone());
        let body = format!("{} {kind} {message}", self.name);
        match kind {
            0..8 => self.say(kind, message, body).await,
            8..11 => Ok((client.edit(&id, message, body).await?, Changed::Message(message))),
            11 if message > HOT => {
                Ok((client.delete(&id, message).await?, Changed::Message(message)))
            }
            11..15 => {
                let emoji = EMOJI[self.random.random_range(0..EMOJI.len())];
                Ok((client.react(&id, message, emoji).await?, Changed::Message(message)))
            }
            15 => {
                let emoji = EMOJI[self.random.random_range(0..EMOJI.len())];
                Ok((client.unreact(&id, message, emoji).await?, Changed::Message(message)))
            }
            16..20 => self.change_members(kind).await,
            24..27 => self.pin(message).await,
            _ => self.moderate(kind).await,
        }
    }

    /// Some of it answers, some is in a thread, some mentions.
    async fn say(&self, kind: u32, message: u64, body: String) -> Result<(u64, Changed), Error> {
        let (client, id) = (&self.client, &self.id);
        let sent = match kind {
            4 => client.reply(id, message, body).await?,
            5 | 6 => client.send_in_thread(id, message.min(HOT), body).await?,
            7 => client.send(id, format!("{body} @reader #some https://example.com")).await?,
            _ => client.send(id, body).await?,
        };
        Ok((sent.seq, Changed::Message(sent.seq)))
    }

    async fn pin(&mut self, message_seq: u64) -> Result<(u64, Changed), Error> {
        let conversation_id = self.id.clone();
        let seq = if self.random.random_ratio(1, 3) {
            let request =
                UnpinMessageRequest { conversation_id, message_seq, ..Default::default() };
            self.client.command(request).await?.seq
        } else {
            self.client.pin(&self.id, message_seq).await?
        };
        Ok((seq, Changed::Conversation))
    }

    async fn change_members(&mut self, kind: u32) -> Result<(u64, Changed), Error> {
        let (client, id, user) = (self.client.clone(), self.id.clone(), self.whom());
        let seq = match kind {
            16 | 17 => client.add_participants(&id, &[&user]).await?,
            18 => client.remove_participant(&id, &user).await?,
            _ if CHURN.contains(&self.name) && self.random.random_ratio(1, 2) => {
                // Nobody who is gone can look.
                let seq = client.leave(&id).await?;
                return Ok((seq, Changed::Participant(String::new())));
            }
            _ => {
                let role = [Role::Member, Role::Admin][self.random.random_range(0..2)];
                client.set_role(&id, &user, role).await?
            }
        };
        Ok((seq, Changed::Participant(user)))
    }

    async fn moderate(&mut self, kind: u32) -> Result<(u64, Changed), Error> {
        let (client, conversation_id) = (self.client.clone(), self.id.clone());
        let user_id = self.whom();
        let user = user_id.clone();
        let seq = match (kind, self.random.random_range(0..4)) {
            (20, 0) => {
                let request =
                    KickParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (20, 1) => {
                let request =
                    BanParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (20, _) => {
                let request =
                    UnbanParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (21, 0 | 1) => {
                let request =
                    MuteParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (21, _) => {
                let request =
                    UnmuteParticipantRequest { conversation_id, user_id, ..Default::default() };
                client.command(request).await?.seq
            }
            (22, 0) => {
                let request = ArchiveConversationRequest {
                    conversation_id: conversation_id.clone(),
                    ..Default::default()
                };
                let archived = client.command(request).await?.seq;
                self.head.fetch_max(archived, Ordering::Relaxed);
                let request =
                    UnarchiveConversationRequest { conversation_id, ..Default::default() };
                let seq = client.command(request).await?.seq;
                return Ok((seq, Changed::Conversation));
            }
            _ => return self.describe().await,
        };
        Ok((seq, Changed::Participant(user)))
    }

    /// A new title, resting on what is there.
    async fn describe(&mut self) -> Result<(u64, Changed), Error> {
        let (conversation, _) = self.client.get_conversation(&self.id).await?;
        let title = format!("title {}", self.random.random_range(0..1000));
        let request = UpdateConversationRequest {
            conversation_id: self.id.clone(),
            update: Some(ConversationUpdate {
                title,
                metadata: [("by".to_owned(), self.name.to_owned())].into(),
                ..ConversationUpdate::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["title".to_owned(), "metadata".to_owned()],
            }),
            etag: conversation.etag,
            ..UpdateConversationRequest::default()
        };
        Ok((self.client.command(request).await?.seq, Changed::Conversation))
    }

    /// A read after an acknowledged write reflects it.
    async fn look(&self, seq: u64, changed: &Changed) -> Checked {
        let conversation_id = self.id.clone();
        let found = match changed {
            Changed::Message(message_seq) => {
                let message_seq = *message_seq;
                let request = GetMessageRequest { conversation_id, message_seq };
                let read = self.client.call(request).await;
                read.map(|read| (read.as_of_seq, read.message.map_or(0, |m| m.applied_seq)))
            }
            Changed::Conversation => {
                let read = self.client.call(GetConversationRequest { conversation_id }).await;
                read.map(|read| (read.as_of_seq, read.conversation.map_or(0, |c| c.applied_seq)))
            }
            Changed::Participant(user) => {
                let rows = self.client.all_participants(&self.id).await;
                rows.map(|rows| {
                    // Who is gone is not listed.
                    let row = rows.into_iter().find(|row| row.user_id == *user);
                    (seq, row.map_or(seq, |row| row.applied_seq))
                })
            }
        };
        let (as_of, applied) = match found {
            Ok(found) => found,
            // Removed meanwhile.
            Err(error) if error.reason() == Some(Reason::NotAParticipant) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        Violation::unless(as_of >= seq && applied >= seq, || {
            format!("{seq} was acknowledged, but a read is as of {as_of} and shows {applied}")
        })
    }
}

fn is_coded(error: &Error) -> bool {
    error.reason().is_some_and(|reason| {
        !matches!(reason, Reason::Unspecified | Reason::Internal | Reason::OutcomeUnknown)
    })
}
