//! How things look in a terminal. Texts of others are made harmless: a control
//! character could move the cursor or retitle the window.

use confab_proto::{
    messages::v1::{Event, Message, RoleAssignment, event::Kind},
    participants::v1::{Participant, Role},
};
use prost_types::Timestamp;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// The look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Render {
    pub(super) colour: bool,
    pub(super) utc_offset_minutes: i32,
}

impl Render {
    /// A message: `12:03 [7] bob: hello`; one's own ends with ✓, it is stored.
    pub(super) fn message(self, message: &Message, reader_id: &str) -> String {
        let name = self.paint(BOLD, &harmless(&message.sender_id));
        let text = match &message.content {
            Some(content) => harmless(&content.text),
            None => self.paint(DIM, "(deleted)"),
        };
        let mut line =
            format!("{} [{}] {name}: {text}", self.time(message.create_time), message.seq);
        if message.edit_time.is_some() && message.content.is_some() {
            line.push_str(&self.paint(DIM, " (edited)"));
        }
        for reaction in &message.reactions {
            line.extend([" ", &harmless(&reaction.emoji), &reaction.count.to_string()]);
        }
        if message.sender_id == reader_id {
            line.push_str(" ✓");
        }
        line
    }

    /// Any other event in one line; `None` for a kind that is not shown.
    pub(super) fn event(self, event: &Event) -> Option<String> {
        let actor = harmless(&event.actor_id);
        let what = match event.kind.as_ref()? {
            Kind::MessageCreated(_) => return None,
            Kind::MessageEdited(edit) => {
                let content = edit.content.as_ref();
                let text = content.map_or_else(|| "(deleted)".to_owned(), |c| harmless(&c.text));
                format!("{actor} edited [{}]: {text}", edit.message_seq)
            }
            Kind::MessageDeleted(deleted) => format!("{actor} deleted [{}]", deleted.message_seq),
            Kind::ReactionAdded(added) => {
                format!("{actor} reacted {} to [{}]", harmless(&added.emoji), added.message_seq)
            }
            Kind::ReactionRemoved(removed) => {
                let emoji = harmless(&removed.emoji);
                format!("{actor} took {emoji} back from [{}]", removed.message_seq)
            }
            Kind::ConversationCreated(_) => format!("{actor} began the conversation"),
            Kind::ConversationUpdated(changes) => match &changes.title {
                Some(title) => format!("{actor} named the conversation {}", harmless(title)),
                None => format!("{actor} changed the conversation"),
            },
            Kind::ConversationArchived(_) => format!("{actor} archived the conversation"),
            Kind::ConversationUnarchived(_) => format!("{actor} unarchived the conversation"),
            Kind::ConversationDeleted(_) => format!("{actor} deleted the conversation"),
            Kind::ConversationRestored(_) => format!("{actor} restored the conversation"),
            other => membership(&actor, other)?,
        };
        Some(self.notice(&format!("{} {what}", self.time(event.create_time))))
    }

    /// One participant, for `/who`.
    pub(super) fn participant(self, row: &Participant) -> String {
        let mut line = format!("   {}", self.paint(BOLD, &harmless(&row.user_id)));
        if row.role() != Role::Member {
            line.extend([", ", role(row.role())]);
        }
        if row.mute.is_some() {
            line.push_str(", muted");
        }
        line
    }

    /// Something that nobody said.
    pub(super) fn notice(self, text: &str) -> String {
        self.paint(DIM, &format!("-- {text}"))
    }

    /// Something that went wrong.
    pub(super) fn error(self, text: &str) -> String {
        self.paint(RED, &format!("!! {}", harmless(text)))
    }

    fn paint(self, style: &str, text: &str) -> String {
        if self.colour { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
    }

    /// Hours and minutes.
    fn time(self, time: Option<Timestamp>) -> String {
        let seconds = time.map_or(0, |time| time.seconds);
        let minutes = seconds.div_euclid(60) + i64::from(self.utc_offset_minutes);
        let of_day = minutes.rem_euclid(24 * 60);
        format!("{:02}:{:02}", of_day / 60, of_day % 60)
    }
}

fn membership(actor: &str, kind: &Kind) -> Option<String> {
    let names = |rows: &[RoleAssignment]| -> String {
        let names: Vec<String> = rows.iter().map(|row| harmless(&row.user_id)).collect();
        names.join(", ")
    };
    Some(match kind {
        Kind::ParticipantsJoined(joined) => {
            format!("{actor} added {}", names(&joined.participants))
        }
        Kind::ParticipantLeft(left) if left.user_id == actor => format!("{actor} left"),
        Kind::ParticipantLeft(left) => format!("{actor} removed {}", harmless(&left.user_id)),
        Kind::RolesChanged(roles) => {
            format!("{actor} changed the role of {}", names(&roles.changes))
        }
        Kind::ParticipantMuted(mute) => format!("{actor} muted {}", harmless(&mute.user_id)),
        Kind::ParticipantUnmuted(mute) => format!("{actor} unmuted {}", harmless(&mute.user_id)),
        Kind::ParticipantBanned(ban) => format!("{actor} banned {}", harmless(&ban.user_id)),
        Kind::ParticipantUnbanned(ban) => format!("{actor} unbanned {}", harmless(&ban.user_id)),
        _ => return None,
    })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member | Role::Unspecified => "member",
    }
}

/// Without control characters; further lines are indented.
fn harmless(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => clean.push_str("\n      "),
            '\t' => clean.push(' '),
            // Also the ones that turn the writing direction around.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            control if control.is_control() => clean.push('\u{fffd}'),
            other => clean.push(other),
        }
    }
    clean
}
