//! Protobuf in, domain out: every field of a public request is checked here,
//! and all its faults are told at once.

mod append;
mod content;
pub(crate) mod event;
pub(crate) mod row;
pub(crate) mod rules;

use confab_kit::{
    error::Error as KitError,
    validate::{self, Violations},
};
use confab_log::{Command, ConversationId, Seq, UserId};
use confab_proto::messages::v1 as pb;

use self::content::content;
use crate::{
    domain::{Listing, Mark, Page, Send},
    store::{Cursors, Direction},
};

/// Bounds of a message.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a message's text.
    pub text_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { text_bytes: 16 * 1024 }
    }
}

const MAX_EMOJI: usize = 32;

/// The fields that every command has.
struct CommandFields<'a> {
    conversation_id: &'a str,
    request_id: &'a str,
    after_seq: u64,
}

macro_rules! fields {
    ($request:expr) => {
        CommandFields {
            conversation_id: &$request.conversation_id,
            request_id: &$request.request_id,
            after_seq: $request.after_seq,
        }
    };
}

fn command(
    mut violations: Violations,
    fields: &CommandFields<'_>,
    command: Option<Command>,
) -> Result<Send, KitError> {
    let conversation = validate::conversation_id(&mut violations, fields.conversation_id);
    let request_id = validate::request_id(&mut violations, fields.request_id);
    violations.finish()?;
    let (Some(conversation), Some(request_id), Some(command)) = (conversation, request_id, command)
    else {
        return Err(KitError::violation("request", "is incomplete"));
    };
    let after_seq = Some(fields.after_seq).filter(|seq| *seq > 0);
    Ok(Send { conversation, request_id, after_seq, command })
}

pub(crate) fn send(request: pb::SendMessageRequest, limits: Limits) -> Result<Send, KitError> {
    let mut v = Violations::default();
    let named = |seq: Seq| Some(seq).filter(|seq| *seq > 0);
    let (reply_to, thread) = (named(request.reply_to_seq), named(request.thread_seq));
    let content = content(&mut v, request.content, limits);
    let send =
        content.map(|content| Command::Send { content, reply_to, thread, flags: Vec::new() });
    command(v, &fields!(request), send)
}

pub(crate) fn edit(request: pb::EditMessageRequest, limits: Limits) -> Result<Send, KitError> {
    let mut v = Violations::default();
    let target = message_seq(&mut v, request.message_seq);
    let content = content(&mut v, request.content, limits);
    command(v, &fields!(request), content.map(|content| Command::edit(target, content)))
}

pub(crate) fn delete(request: &pb::DeleteMessageRequest) -> Result<Send, KitError> {
    let mut v = Violations::default();
    let target = message_seq(&mut v, request.message_seq);
    command(v, &fields!(request), Some(Command::DeleteMessage { target }))
}

pub(crate) fn pin(request: &pb::PinMessageRequest) -> Result<Send, KitError> {
    let mut v = Violations::default();
    let target = message_seq(&mut v, request.message_seq);
    command(v, &fields!(request), Some(Command::Pin { target }))
}

pub(crate) fn unpin(request: &pb::UnpinMessageRequest) -> Result<Send, KitError> {
    let mut v = Violations::default();
    let target = message_seq(&mut v, request.message_seq);
    command(v, &fields!(request), Some(Command::Unpin { target }))
}

pub(crate) fn conversation(conversation_id: &str) -> Result<ConversationId, KitError> {
    let mut v = Violations::default();
    let conversation = validate::conversation_id(&mut v, conversation_id);
    v.finish()?;
    conversation.ok_or_else(|| KitError::violation("request", "is incomplete"))
}

pub(crate) fn add_reaction(request: &pb::AddReactionRequest) -> Result<Send, KitError> {
    let mut v = Violations::default();
    let target = message_seq(&mut v, request.message_seq);
    let fields = fields!(request);
    let emoji = emoji(&mut v, &request.emoji);
    command(v, &fields, Some(Command::AddReaction { target, emoji }))
}

pub(crate) fn remove_reaction(request: &pb::RemoveReactionRequest) -> Result<Send, KitError> {
    let mut v = Violations::default();
    let target = message_seq(&mut v, request.message_seq);
    let fields = fields!(request);
    let emoji = emoji(&mut v, &request.emoji);
    command(v, &fields, Some(Command::RemoveReaction { target, emoji }))
}

pub(crate) fn mark(conversation_id: &str, field: &str, seq: Seq) -> Result<Mark, KitError> {
    let mut v = Violations::default();
    let conversation = validate::conversation_id(&mut v, conversation_id);
    v.check(seq > 0, field, "must be above 0");
    v.finish()?;
    let conversation =
        conversation.ok_or_else(|| KitError::violation("request", "is incomplete"))?;
    Ok(Mark { conversation, seq })
}

/// A conversation, a bounded page size, and a token not opened yet.
pub(crate) fn page(
    conversation_id: &str,
    page_size: i32,
    bounds: (usize, usize),
    token: String,
) -> Result<Page, KitError> {
    let mut v = Violations::default();
    let conversation = validate::conversation_id(&mut v, conversation_id);
    let size = validate::page_size(&mut v, page_size, bounds.0, bounds.1);
    v.finish()?;
    let conversation =
        conversation.ok_or_else(|| KitError::violation("request", "is incomplete"))?;
    Ok(Page { conversation, size, token })
}

pub(crate) fn list(request: &pb::ListMessagesRequest) -> Result<(Page, Listing), KitError> {
    let direction = match pb::ListOrder::try_from(request.order) {
        Ok(pb::ListOrder::OldestFirst) => Direction::OldestFirst,
        Ok(_) => Direction::NewestFirst,
        Err(_) => return Err(KitError::violation("order", "must be a known order")),
    };
    let thread = Some(request.thread_seq).filter(|seq| *seq > 0);
    let token = request.page_token.clone();
    let page = page(&request.conversation_id, request.page_size, (50, 200), token)?;
    Ok((page, Listing { direction, from: request.from_seq, thread }))
}

pub(crate) fn events(request: &pb::ListEventsRequest) -> Result<Page, KitError> {
    page(&request.conversation_id, request.page_size, (100, 500), String::new())
}

pub(crate) fn one(conversation_id: &str, seq: Seq) -> Result<(ConversationId, Seq), KitError> {
    let mut v = Violations::default();
    let conversation = validate::conversation_id(&mut v, conversation_id);
    let seq = message_seq(&mut v, seq);
    v.finish()?;
    let conversation =
        conversation.ok_or_else(|| KitError::violation("request", "is incomplete"))?;
    Ok((conversation, seq))
}

/// Cursors as clients see them.
pub(crate) fn receipt_to_pb(user: &UserId, cursors: Cursors) -> pb::Receipt {
    pb::Receipt {
        user_id: user.to_string(),
        read_seq: cursors.read_seq,
        delivered_seq: cursors.delivered_seq,
    }
}

fn message_seq(v: &mut Violations, seq: Seq) -> Seq {
    v.check(seq > 0, "message_seq", "must be above 0");
    seq
}

fn emoji(v: &mut Violations, emoji: &str) -> String {
    let valid = (1..=MAX_EMOJI).contains(&emoji.len())
        && !emoji.chars().any(|c| c.is_whitespace() || c.is_control());
    v.check(valid, "emoji", "must have 1 to 32 bytes and no white space or control characters");
    emoji.to_owned()
}
