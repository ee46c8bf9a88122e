//! Public requests in, domain out: every violation of a request at once. Rows,
//! commands and heads are in [`rows`]. Nothing here asks a store or a clock.

pub(crate) mod rows;

use std::collections::{BTreeMap, BTreeSet};

use confab_kit::{
    error::Error,
    validate::{self, Violations},
};
use confab_log::{
    ConversationId, RequestId, Seq, UserId,
    event::{Description, History, Kind, Retention},
};
use confab_proto::{conversations::v1 as pb, messages::v1 as log_pb};

use crate::domain::{Change, Command, Compare, Create, Filter, Get, List, ListPublic, Part};

/// Users that a creation names, at most.
const MAX_NAMED: usize = 100;
/// Characters of a title, and of a title query, at most.
const MAX_TITLE: usize = 200;
/// Characters of a description, at most.
const MAX_DESCRIPTION: usize = 2000;
/// Characters of an avatar's address, at most.
const MAX_AVATAR_URL: usize = 2048;
/// Keys of the metadata, at most.
const MAX_KEYS: usize = 32;
/// Bytes of a metadata key, at most.
const MAX_KEY_BYTES: usize = 64;
/// Bytes of a metadata value, at most.
const MAX_VALUE_BYTES: usize = 1024;
/// Seconds that messages are kept, at least.
const MIN_AGE: u64 = 3600;
/// Cursors of one comparison, at most.
const MAX_CURSORS: usize = 1000;

impl TryFrom<pb::CreateConversationRequest> for Create {
    type Error = Error;

    fn try_from(request: pb::CreateConversationRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let request_id = check.parse("request_id", RequestId::parse(&request.request_id));
        let kind = rows::kind_from_pb(request.r#type());
        check.check(kind.is_some(), "type", "must be direct, group or channel");
        let named = named_users(&mut check, &request.participant_ids);
        if kind == Some(Kind::Direct) {
            check_direct(&mut check, &request);
        }
        let is_channel = kind == Some(Kind::Channel);
        check.check(!request.public || is_channel, "public", "must be false but for a channel");
        let owner = Some(request.owner_id.as_str()).filter(|id| !id.is_empty());
        let owner = owner.and_then(|id| check.parse("owner_id", UserId::parse(id)));
        let history = history(&mut check, "history_visibility", request.history_visibility);
        let retention = retention(&mut check, "retention", request.retention);
        check_text(&mut check, "title", &request.title, MAX_TITLE);
        check_text(&mut check, "description", &request.description, MAX_DESCRIPTION);
        check_text(&mut check, "avatar_url", &request.avatar_url, MAX_AVATAR_URL);
        check_metadata(&mut check, "metadata", &request.metadata);
        let description = Description {
            title: Some(request.title),
            description: Some(request.description),
            avatar_url: Some(request.avatar_url),
            metadata: Some(request.metadata),
            public: Some(request.public),
            history,
            retention: Some(retention),
        };
        check.finish()?;
        let (request_id, kind) = request_id.zip(kind).ok_or_else(incomplete)?;
        Ok(Self { request_id, kind, owner, named, description })
    }
}

impl TryFrom<pb::GetConversationRequest> for Get {
    type Error = Error;

    fn try_from(request: pb::GetConversationRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let conversation =
            check.parse("conversation_id", ConversationId::parse(&request.conversation_id));
        check.finish()?;
        Ok(Self { conversation: conversation.ok_or_else(incomplete)? })
    }
}

impl TryFrom<pb::UpdateConversationRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::UpdateConversationRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let version = version(&mut check, &request.etag);
        let update = request.update.unwrap_or_default();
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        let changes = masked(&mut check, &update, &paths);
        let change = Change::Update { changes, version };
        let names = (request.conversation_id.as_str(), request.request_id.as_str());
        command(check, names, request.after_seq, change)
    }
}

impl TryFrom<pb::DeleteConversationRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::DeleteConversationRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let change = Change::Delete { version: version(&mut check, &request.etag) };
        let names = (request.conversation_id.as_str(), request.request_id.as_str());
        command(check, names, request.after_seq, change)
    }
}

impl TryFrom<pb::RestoreConversationRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::RestoreConversationRequest) -> Result<Self, Error> {
        let names = (request.conversation_id.as_str(), request.request_id.as_str());
        command(Violations::default(), names, request.after_seq, Change::Restore)
    }
}

impl TryFrom<pb::ArchiveConversationRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::ArchiveConversationRequest) -> Result<Self, Error> {
        let names = (request.conversation_id.as_str(), request.request_id.as_str());
        command(Violations::default(), names, request.after_seq, Change::Archive)
    }
}

impl TryFrom<pb::UnarchiveConversationRequest> for Command {
    type Error = Error;

    fn try_from(request: pb::UnarchiveConversationRequest) -> Result<Self, Error> {
        let names = (request.conversation_id.as_str(), request.request_id.as_str());
        command(Violations::default(), names, request.after_seq, Change::Unarchive)
    }
}

impl TryFrom<pb::ListConversationsRequest> for List {
    type Error = Error;

    fn try_from(request: pb::ListConversationsRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let limit = validate::page_size(&mut check, request.page_size, 50, 100);
        let kind = pb::ConversationType::try_from(request.r#type).ok();
        check.check(kind.is_some(), "type", "must be a type of conversation");
        let kind = kind.and_then(rows::kind_from_pb);
        let part = match pb::ListView::try_from(request.view) {
            Ok(pb::ListView::Unspecified) => Part::Current,
            Ok(pb::ListView::Archive) => Part::Archive,
            Ok(pb::ListView::Favourites) => Part::Favourites,
            Ok(pb::ListView::All) => Part::Everything,
            Err(_) => {
                check.add("view", "must be a part of the list");
                Part::Current
            }
        };
        check_text(&mut check, "title_query", &request.title_query, MAX_TITLE);
        check.finish()?;
        let title = request.title_query.to_lowercase();
        let filter = Filter { kind, title, archived: request.include_archived, part };
        Ok(Self { filter, limit, page_token: request.page_token })
    }
}

impl TryFrom<pb::ListPublicChannelsRequest> for ListPublic {
    type Error = Error;

    fn try_from(request: pb::ListPublicChannelsRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let limit = validate::page_size(&mut check, request.page_size, 50, 100);
        check_text(&mut check, "title_query", &request.title_query, MAX_TITLE);
        check.finish()?;
        let title = request.title_query.to_lowercase();
        Ok(Self { title, limit, page_token: request.page_token })
    }
}

impl TryFrom<pb::CompareHeadsRequest> for Compare {
    type Error = Error;

    fn try_from(request: pb::CompareHeadsRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let few = request.cursors.len() <= MAX_CURSORS;
        check.check(few, "cursors", "must be at most 1,000");
        let mut cursors = BTreeMap::new();
        for (index, cursor) in request.cursors.iter().take(MAX_CURSORS).enumerate() {
            let field = format!("cursors[{index}].conversation_id");
            let id = ConversationId::parse(&cursor.conversation_id);
            if let Some(id) = check.parse(field.as_str(), id) {
                let first = cursors.insert(id, cursor.seq).is_none();
                check.check(first, field.as_str(), "must not be named twice");
            }
        }
        check.finish()?;
        Ok(Self { cursors })
    }
}

fn incomplete() -> Error {
    Error::violation("request", "is incomplete")
}

fn command(
    mut check: Violations,
    (conversation, request_id): (&str, &str),
    after_seq: Seq,
    change: Change,
) -> Result<Command, Error> {
    let conversation = check.parse("conversation_id", ConversationId::parse(conversation));
    let request_id = check.parse("request_id", RequestId::parse(request_id));
    check.finish()?;
    let (conversation, request_id) = conversation.zip(request_id).ok_or_else(incomplete)?;
    Ok(Command { conversation, request_id, after_seq, change })
}

fn named_users(check: &mut Violations, named: &[String]) -> BTreeSet<UserId> {
    check.check(named.len() <= MAX_NAMED, "participant_ids", "must be at most 100");
    let mut users = BTreeSet::new();
    for (index, text) in named.iter().take(MAX_NAMED).enumerate() {
        users
            .extend(check.parse(format!("participant_ids[{index}]").as_str(), UserId::parse(text)));
    }
    users
}

/// The version that an etag says; `None` for an empty one.
fn version(check: &mut Violations, etag: &str) -> Option<Seq> {
    if etag.is_empty() {
        return None;
    }
    // What we give out has no sign and no leading zero.
    let version = etag.parse().ok().filter(|seq: &Seq| *seq > 0 && seq.to_string() == etag);
    check.check(version.is_some(), "etag", "must be the etag of a conversation");
    version
}

fn masked(
    check: &mut Violations,
    update: &pb::ConversationUpdate,
    paths: &[String],
) -> Description {
    check.check(!paths.is_empty(), "update_mask", "must name what to change");
    let mut changes = Description::default();
    for path in paths {
        match path.as_str() {
            "title" => {
                check_text(check, "update.title", &update.title, MAX_TITLE);
                changes.title = Some(update.title.clone());
            }
            "description" => {
                check_text(check, "update.description", &update.description, MAX_DESCRIPTION);
                changes.description = Some(update.description.clone());
            }
            "avatar_url" => {
                check_text(check, "update.avatar_url", &update.avatar_url, MAX_AVATAR_URL);
                changes.avatar_url = Some(update.avatar_url.clone());
            }
            "metadata" => {
                check_metadata(check, "update.metadata", &update.metadata);
                changes.metadata = Some(update.metadata.clone());
            }
            "history_visibility" => {
                changes.history =
                    history(check, "update.history_visibility", update.history_visibility)
                        .or(Some(History::Full));
            }
            "public" => changes.public = Some(update.public),
            "retention" => {
                changes.retention = Some(retention(check, "update.retention", update.retention));
            }
            _ => {
                let rule = "must name only title, description, avatar_url, metadata, \
                            history_visibility, public, retention";
                check.add("update_mask", rule);
            }
        }
    }
    changes
}

/// A direct conversation has no description of its own.
fn check_direct(check: &mut Violations, request: &pb::CreateConversationRequest) {
    for (field, empty) in [
        ("title", request.title.is_empty()),
        ("description", request.description.is_empty()),
        ("avatar_url", request.avatar_url.is_empty()),
        ("metadata", request.metadata.is_empty()),
        ("history_visibility", request.history_visibility == 0),
        ("retention", request.retention.is_none()),
        ("owner_id", request.owner_id.is_empty()),
    ] {
        check.check(empty, field, "must be empty in a direct conversation");
    }
}

/// `None` for what is not said.
fn history(check: &mut Violations, field: &str, number: i32) -> Option<History> {
    match pb::HistoryVisibility::try_from(number) {
        Ok(pb::HistoryVisibility::Full) => Some(History::Full),
        Ok(pb::HistoryVisibility::FromJoin) => Some(History::FromJoin),
        Ok(pb::HistoryVisibility::Unspecified) => None,
        Err(_) => {
            check.add(field, "must be a visibility of history");
            None
        }
    }
}

fn retention(
    check: &mut Violations,
    field: &str,
    retention: Option<log_pb::Retention>,
) -> Retention {
    let Some(log_pb::Retention { max_age_seconds: max_age, max_messages }) = retention else {
        return Retention::default();
    };
    let fits = max_age == 0 || max_age >= MIN_AGE;
    check.check(fits, format!("{field}.max_age_seconds"), "must be 0 or at least 3,600");
    Retention { max_age, max_messages }
}

fn check_text(check: &mut Violations, field: &str, text: &str, max: usize) {
    let short = text.chars().count() <= max;
    check.check(short, field, format!("must be at most {max} characters"));
    let rule = "must hold no control characters besides line feed and tab";
    check.check(is_clean(text), field, rule);
}

fn check_metadata(check: &mut Violations, field: &str, metadata: &BTreeMap<String, String>) {
    check.check(metadata.len() <= MAX_KEYS, field, "must have at most 32 keys");
    let keys = metadata.keys().all(|key| (1..=MAX_KEY_BYTES).contains(&key.len()) && is_clean(key));
    check.check(keys, field, "must have keys of 1 to 64 bytes without control characters");
    let values = metadata.values();
    let fits = values.clone().all(|value| value.len() <= MAX_VALUE_BYTES);
    check.check(fits, field, "must have values of at most 1,024 bytes");
    let clean = values.clone().all(|value| is_clean(value));
    check.check(clean, field, "must have values without control characters");
}

fn is_clean(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t')
}
