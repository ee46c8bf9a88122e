//! `decide(state, command) → one event, an old answer, or a refusal`.
//!
//! The order of the looks matters. A known request id is answered before
//! anything can be refused: the sender of a retry may have lost the right to
//! send since, and must still get the answer it missed. Refusals are not
//! remembered.

use crate::{
    Command, Content, Digest, Event, EventBody, Micros, Request, Row, RowKey, Seq, UserId,
    event::{Assignment, Creation, Kind, LeaveCause, Role, Sentence},
    mutant,
    row::{ConversationRow, MemberRow, MessageRow},
    state::View,
};

/// Participants of a group, at most.
pub const MAX_PARTICIPANTS: u32 = 1000;
/// Distinct emoji on a message, at most.
pub const MAX_EMOJI_PER_MESSAGE: usize = 50;
/// Distinct emoji of one user on a message, at most.
pub const MAX_EMOJI_PER_USER: usize = 10;
/// Edits of a message, at most.
pub const MAX_EDITS: usize = 100;

/// What `decide` says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Append this event next.
    Append(Box<Event>),
    /// The command was carried out before, by the event of this seq.
    Known(Seq),
    /// It cannot be carried out here and now.
    Refuse(Refusal),
}

/// Why a command cannot be carried out at this point of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The request id names another command.
    #[error("the request id was used with another body")]
    RequestIdReused,
    /// `after_seq` is above the head.
    #[error("after_seq is above the head, which is {head}")]
    AfterSeqAboveHead {
        /// The head.
        head: Seq,
    },
    /// There is none, or the actor may not know of it.
    #[error("there is no such conversation")]
    ConversationNotFound,
    /// The actor was a participant and is one no longer.
    #[error("the caller is no longer a participant")]
    NotAParticipant,
    /// The actor's role is not enough.
    #[error("the caller's role is too low")]
    RoleTooLow,
    /// The actor may not write.
    #[error("the caller is muted")]
    Muted {
        /// Until when; `None`: until it is lifted.
        until: Option<Micros>,
    },
    /// The user is kept out.
    #[error("the user {user} is banned")]
    Banned {
        /// Who.
        user: UserId,
        /// Until when; `None`: until it is lifted.
        until: Option<Micros>,
    },
    /// The conversation is read-only.
    #[error("the conversation is archived")]
    Archived,
    /// The conversation is deleted.
    #[error("the conversation is deleted")]
    Deleted,
    /// The version is not the one that the command rests on.
    #[error("the etag is stale")]
    EtagMismatch {
        /// The current version.
        version: Seq,
    },
    /// The state is already what the command asks for.
    #[error("there is nothing to change")]
    NoChange,
    /// Not possible between two people.
    #[error("not possible in a direct conversation")]
    DirectConversation,
    /// The conversation is full.
    #[error("a conversation has at most {MAX_PARTICIPANTS} participants")]
    TooManyParticipants,
    /// The target is not a participant.
    #[error("the user {user} is not a participant")]
    ParticipantNotFound {
        /// Who.
        user: UserId,
    },
    /// The target is a participant.
    #[error("the user {user} is a participant already")]
    AlreadyAParticipant {
        /// Who.
        user: UserId,
    },
    /// The owner leaves others behind.
    #[error("the owner must transfer the ownership first")]
    OwnerMustTransfer,
    /// The target is the actor.
    #[error("the command would act on the caller")]
    TargetIsCaller,
    /// There is no such message.
    #[error("there is no such message")]
    MessageNotFound,
    /// The message is gone.
    #[error("the message is deleted")]
    MessageDeleted,
    /// The message is somebody else's.
    #[error("only the sender may do this")]
    NotTheSender,
    /// The actor has reacted so already.
    #[error("the caller has this reaction already")]
    ReactionExists,
    /// The actor has not reacted so.
    #[error("the caller has no such reaction")]
    ReactionNotFound,
    /// The message or the actor has as many emoji as can be.
    #[error("the message has too many distinct reactions")]
    TooManyReactions,
    /// The message was edited as often as can be.
    #[error("the message was edited too often")]
    TooManyEdits,
}

type Ruling = Result<EventBody, Refusal>;

/// Decides one command against a state that has folded every event so far.
/// `found` is the event of the request id where a scan of older rows found one;
/// `now` is the caller's clock, of which only the time of the event comes.
pub fn decide(
    view: &impl View,
    request: &Request,
    found: Option<(Digest, Seq)>,
    now: Micros,
) -> Decision {
    let judge = Judge {
        view,
        request,
        time: now.max(view.time()),
    };
    if mutant::is("refusal-before-known")
        && let Err(refusal) = judge.rule()
    {
        return Decision::Refuse(refusal);
    }
    let known = found.or_else(|| view.known(&request.actor, &request.request_id));
    if let Some((digest, seq)) = known.or_else(|| judge.first_event()) {
        return if digest == request.digest {
            Decision::Known(seq)
        } else {
            Decision::Refuse(Refusal::RequestIdReused)
        };
    }
    if let Some(seq) = judge.existing_direct() {
        return Decision::Known(seq);
    }
    match judge
        .rule()
        .and_then(|body| judge.after_seq_exists().map(|()| body))
    {
        Ok(body) => Decision::Append(Box::new(judge.event(body))),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

struct Judge<'a, V> {
    view: &'a V,
    request: &'a Request,
    time: Micros,
}

impl<V: View> Judge<'_, V> {
    fn event(&self, body: EventBody) -> Event {
        let seq = self.view.seq() + 1;
        let is_message = matches!(body, EventBody::MessageCreated(_));
        Event {
            seq,
            ordinal: self.view.ordinal() + u64::from(is_message),
            last_message: if is_message {
                seq
            } else {
                self.view.last_message()
            },
            time: self.time,
            actor: self.request.actor.clone(),
            request_id: self.request.request_id.clone(),
            digest: self.request.digest,
            body,
        }
    }

    /// Asked last, so that nobody learns a head that they may not know.
    fn after_seq_exists(&self) -> Result<(), Refusal> {
        let head = self.view.seq();
        let exists = self.request.after_seq.is_none_or(|after| after <= head);
        ensure(exists, Refusal::AfterSeqAboveHead { head })
    }

    fn rule(&self) -> Ruling {
        match &self.request.command {
            Command::Create(creation) => self.create(creation),
            Command::Update { changes, version } => {
                let (conversation, _) = self.standing(Role::Admin)?;
                only_group(conversation)?;
                same_version(conversation, *version)?;
                Ok(EventBody::ConversationUpdated(changes.clone()))
            }
            Command::Archive => {
                let (conversation, _) = self.standing(Role::Admin)?;
                changed(conversation.archive_time.is_none())?;
                Ok(EventBody::ConversationArchived)
            }
            Command::Unarchive => {
                let (conversation, _) = self.standing(Role::Admin)?;
                changed(conversation.archive_time.is_some())?;
                Ok(EventBody::ConversationUnarchived)
            }
            Command::Delete { version } => {
                let (conversation, _) = self.standing(Role::Owner)?;
                same_version(conversation, *version)?;
                Ok(EventBody::ConversationDeleted)
            }
            Command::Restore => {
                let (conversation, _) = self.membership(Role::Owner)?;
                changed(conversation.delete_time.is_some())?;
                Ok(EventBody::ConversationRestored)
            }
            Command::Send(_)
            | Command::Edit { .. }
            | Command::DeleteMessage { .. }
            | Command::AddReaction { .. }
            | Command::RemoveReaction { .. } => self.rule_on_messages(),
            _ => self.rule_on_participants(),
        }
    }

    fn rule_on_messages(&self) -> Ruling {
        match &self.request.command {
            Command::Send(content) => {
                self.writer()?;
                Ok(EventBody::MessageCreated(self.new_message(content)))
            }
            Command::Edit { target, content } => {
                self.writer()?;
                let message = self.message(*target)?;
                ensure(message.sender == self.request.actor, Refusal::NotTheSender)?;
                ensure(message.edits.len() < MAX_EDITS, Refusal::TooManyEdits)?;
                Ok(EventBody::MessageEdited {
                    target: *target,
                    content: Some(content.clone()),
                })
            }
            Command::DeleteMessage { target } => self.delete_message(*target),
            Command::AddReaction { target, emoji } => self.add_reaction(*target, emoji),
            Command::RemoveReaction { target, emoji } => {
                self.writer()?;
                self.message(*target)?;
                ensure(
                    self.own_reactions(*target).contains(emoji),
                    Refusal::ReactionNotFound,
                )?;
                Ok(EventBody::ReactionRemoved {
                    target: *target,
                    emoji: emoji.clone(),
                })
            }
            _ => Err(Refusal::NoChange),
        }
    }

    fn rule_on_participants(&self) -> Ruling {
        match &self.request.command {
            Command::AddParticipants { users } => self.add_participants(users),
            Command::Remove {
                user,
                cause,
                reason,
            } => self.remove(user, *cause, reason),
            Command::UpdateRole { user, role } => {
                let (conversation, _) = self.standing(Role::Owner)?;
                only_group(conversation)?;
                let target = self.other_participant(user)?;
                changed(target.role != *role)?;
                Ok(EventBody::RolesChanged(vec![assign(user, *role)]))
            }
            Command::TransferOwnership { user } => {
                let (conversation, _) = self.standing(Role::Owner)?;
                only_group(conversation)?;
                self.other_participant(user)?;
                let actor = assign(&self.request.actor, Role::Admin);
                Ok(EventBody::RolesChanged(vec![
                    assign(user, Role::Owner),
                    actor,
                ]))
            }
            Command::Mute(sentence) => {
                self.below_actor(&sentence.user)?;
                Ok(EventBody::ParticipantMuted(sentence.clone()))
            }
            Command::Unmute { user } => {
                let target = self.below_actor(user)?;
                changed(target.muted_at(self.time).is_some())?;
                Ok(EventBody::ParticipantUnmuted { user: user.clone() })
            }
            Command::Ban(sentence) => self.ban(sentence),
            Command::Unban { user } => {
                let (conversation, _) = self.standing(Role::Admin)?;
                only_group(conversation)?;
                let ban = self.member(user).and_then(|row| row.banned_at(self.time));
                changed(ban.is_some())?;
                Ok(EventBody::ParticipantUnbanned { user: user.clone() })
            }
            _ => Err(Refusal::NoChange),
        }
    }

    // ── the conversation ────────────────────────────────────────────────

    fn conversation(&self) -> Option<&ConversationRow> {
        match self.view.row(&RowKey::Conversation) {
            Some(Row::Conversation(row)) => Some(row),
            _ => None,
        }
    }

    /// A create is always compared with event 1, however old it is.
    fn first_event(&self) -> Option<(Digest, Seq)> {
        let Command::Create(_) = &self.request.command else {
            return None;
        };
        let row = self.conversation()?;
        let same =
            row.creator == self.request.actor && row.create_request_id == self.request.request_id;
        // Deleted since, and asked for again by the same request: the answer stands.
        same.then_some((row.create_digest, 1))
    }

    /// Creating a direct conversation that exists answers with it.
    fn existing_direct(&self) -> Option<Seq> {
        let Command::Create(creation) = &self.request.command else {
            return None;
        };
        let row = self.conversation()?;
        (creation.kind.is_direct() && row.kind.is_direct() && row.delete_time.is_none())
            .then_some(1)
    }

    fn create(&self, creation: &Creation) -> Ruling {
        match self.conversation() {
            None if self.view.seq() == 0 => Ok(EventBody::ConversationCreated(creation.clone())),
            Some(row) if row.kind == Kind::Direct && creation.kind == Kind::Direct => {
                Ok(EventBody::ConversationRestored)
            }
            _ => Err(Refusal::RequestIdReused),
        }
    }

    /// The conversation and the actor in it, whatever state it is in.
    fn membership(&self, least: Role) -> Result<(&ConversationRow, &MemberRow), Refusal> {
        let conversation = self.conversation().ok_or(Refusal::ConversationNotFound)?;
        let actor = self
            .member(&self.request.actor)
            .ok_or(Refusal::ConversationNotFound)?;
        if !actor.is_active() {
            if actor.intervals.is_empty() {
                return Err(Refusal::ConversationNotFound);
            }
            if let Some(ban) = actor.banned_at(self.time) {
                return Err(Refusal::Banned {
                    user: self.request.actor.clone(),
                    until: ban.until,
                });
            }
            return Err(Refusal::NotAParticipant);
        }
        ensure(actor.role >= least, Refusal::RoleTooLow)?;
        Ok((conversation, actor))
    }

    /// The same, in a conversation that is not deleted.
    fn standing(&self, least: Role) -> Result<(&ConversationRow, &MemberRow), Refusal> {
        let (conversation, actor) = self.membership(least)?;
        ensure(conversation.delete_time.is_none(), Refusal::Deleted)?;
        Ok((conversation, actor))
    }

    /// The same, where the actor may write.
    fn writer(&self) -> Result<(), Refusal> {
        let (conversation, actor) = self.standing(Role::Member)?;
        ensure(conversation.archive_time.is_none(), Refusal::Archived)?;
        match actor.muted_at(self.time) {
            Some(mute) => Err(Refusal::Muted { until: mute.until }),
            None => Ok(()),
        }
    }

    // ── messages ────────────────────────────────────────────────────────

    fn new_message(&self, content: &Content) -> MessageRow {
        MessageRow {
            content: Some(content.clone()),
            edit_time: None,
            delete_time: None,
            reactions: Vec::new(),
            edits: Vec::new(),
            sender: self.request.actor.clone(),
            applied_seq: self.view.seq() + 1,
        }
    }

    fn message(&self, target: Seq) -> Result<&MessageRow, Refusal> {
        match self.view.row(&RowKey::Message(target)) {
            Some(Row::Message(row)) if row.delete_time.is_some() => Err(Refusal::MessageDeleted),
            Some(Row::Message(row)) => Ok(row),
            _ => Err(Refusal::MessageNotFound),
        }
    }

    /// A muted sender may still take back what they said.
    fn delete_message(&self, target: Seq) -> Ruling {
        let (conversation, actor) = self.standing(Role::Member)?;
        ensure(conversation.archive_time.is_none(), Refusal::Archived)?;
        let message = self.message(target)?;
        let moderates = actor.role >= Role::Admin && !conversation.kind.is_direct();
        ensure(
            moderates || message.sender == self.request.actor,
            Refusal::NotTheSender,
        )?;
        Ok(EventBody::MessageDeleted { target })
    }

    fn own_reactions(&self, target: Seq) -> &[String] {
        match self
            .view
            .row(&RowKey::Reactions(target, self.request.actor.clone()))
        {
            Some(Row::Reactions(row)) => &row.emoji,
            _ => &[],
        }
    }

    fn add_reaction(&self, target: Seq, emoji: &str) -> Ruling {
        self.writer()?;
        let message = self.message(target)?;
        let own = self.own_reactions(target);
        ensure(
            own.iter().all(|known| known != emoji),
            Refusal::ReactionExists,
        )?;
        let is_new = message.reactions.iter().all(|known| known.emoji != emoji);
        let full = is_new && message.reactions.len() >= MAX_EMOJI_PER_MESSAGE;
        ensure(
            !full && own.len() < MAX_EMOJI_PER_USER,
            Refusal::TooManyReactions,
        )?;
        Ok(EventBody::ReactionAdded {
            target,
            emoji: emoji.to_owned(),
        })
    }

    // ── participants ────────────────────────────────────────────────────

    fn member(&self, user: &UserId) -> Option<&MemberRow> {
        match self.view.row(&RowKey::Member(user.clone())) {
            Some(Row::Member(row)) => Some(row),
            _ => None,
        }
    }

    fn other_participant(&self, user: &UserId) -> Result<&MemberRow, Refusal> {
        ensure(*user != self.request.actor, Refusal::TargetIsCaller)?;
        self.member(user)
            .filter(|row| row.is_active())
            .ok_or_else(|| Refusal::ParticipantNotFound { user: user.clone() })
    }

    /// A participant of a group whom the actor, an admin at least, outranks.
    fn below_actor(&self, user: &UserId) -> Result<&MemberRow, Refusal> {
        let (conversation, actor) = self.standing(Role::Admin)?;
        only_group(conversation)?;
        let target = self.other_participant(user)?;
        ensure(target.role < actor.role, Refusal::RoleTooLow)?;
        Ok(target)
    }

    fn add_participants(&self, users: &[UserId]) -> Ruling {
        let (conversation, _) = self.standing(Role::Admin)?;
        only_group(conversation)?;
        for user in users {
            let Some(row) = self.member(user) else {
                continue;
            };
            let user = user.clone();
            ensure(
                !row.is_active(),
                Refusal::AlreadyAParticipant { user: user.clone() },
            )?;
            if let Some(ban) = row.banned_at(self.time) {
                return Err(Refusal::Banned {
                    user,
                    until: ban.until,
                });
            }
        }
        let added = u32::try_from(users.len()).unwrap_or(u32::MAX);
        let fits = conversation.participant_count.saturating_add(added) <= MAX_PARTICIPANTS;
        ensure(fits, Refusal::TooManyParticipants)?;
        let joined = users
            .iter()
            .map(|user| assign(user, Role::Member))
            .collect();
        Ok(EventBody::ParticipantsJoined(joined))
    }

    fn remove(&self, user: &UserId, cause: LeaveCause, reason: &str) -> Ruling {
        if *user == self.request.actor {
            ensure(cause != LeaveCause::Kicked, Refusal::TargetIsCaller)?;
            let (conversation, actor) = self.standing(Role::Member)?;
            only_group(conversation)?;
            let last = conversation.participant_count == 1;
            ensure(
                last || actor.role != Role::Owner,
                Refusal::OwnerMustTransfer,
            )?;
        } else {
            self.below_actor(user)?;
        }
        Ok(EventBody::ParticipantLeft {
            user: user.clone(),
            cause,
            reason: reason.to_owned(),
        })
    }

    fn ban(&self, sentence: &Sentence) -> Ruling {
        let (conversation, actor) = self.standing(Role::Admin)?;
        only_group(conversation)?;
        ensure(sentence.user != self.request.actor, Refusal::TargetIsCaller)?;
        // Only a participant has a rank to outrank; former ones keep none.
        let target = self.member(&sentence.user).filter(|row| row.is_active());
        ensure(
            target.is_none_or(|row| row.role < actor.role),
            Refusal::RoleTooLow,
        )?;
        Ok(EventBody::ParticipantBanned(sentence.clone()))
    }
}

fn ensure(condition: bool, refusal: Refusal) -> Result<(), Refusal> {
    if condition { Ok(()) } else { Err(refusal) }
}

fn changed(condition: bool) -> Result<(), Refusal> {
    ensure(condition, Refusal::NoChange)
}

fn only_group(conversation: &ConversationRow) -> Result<(), Refusal> {
    ensure(!conversation.kind.is_direct(), Refusal::DirectConversation)
}

fn same_version(conversation: &ConversationRow, version: Option<Seq>) -> Result<(), Refusal> {
    let current = conversation.version_seq;
    let same = version.is_none_or(|version| version == current);
    ensure(same, Refusal::EtagMismatch { version: current })
}

fn assign(user: &UserId, role: Role) -> Assignment {
    Assignment {
        user: user.clone(),
        role,
    }
}
