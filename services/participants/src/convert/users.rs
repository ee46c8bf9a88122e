//! Profiles and blocks between the wire and the domain.

use std::collections::BTreeMap;

use confab_kit::{
    clock,
    error::Error,
    validate::{self, Violations},
};
use confab_log::{Micros, UserId};
use confab_proto::participants::v1 as pb;

use crate::domain::{ListBlocks, ListUsers, Profile, ProfileChanges, UpdateUser};

/// Users of one batch, at most.
const MAX_BATCH: usize = 100;
/// Characters of a name, and of a query, at most.
const MAX_NAME: usize = 100;
/// Characters of an avatar's address, at most.
const MAX_AVATAR_URL: usize = 2048;
/// Keys of the attributes, at most.
const MAX_KEYS: usize = 32;
/// Bytes of an attribute's key, at most.
const MAX_KEY_BYTES: usize = 64;
/// Bytes of an attribute's value, at most.
const MAX_VALUE_BYTES: usize = 1024;

/// The one user that a request names.
pub(crate) fn one(user_id: &str) -> Result<UserId, Error> {
    let mut check = Violations::default();
    let user = check.parse("user_id", UserId::parse(user_id));
    check.finish()?;
    user.ok_or_else(|| Error::violation("user_id", UserId::RULE))
}

/// The users that a batch names.
pub(crate) fn batch(user_ids: &[String]) -> Result<Vec<UserId>, Error> {
    let mut check = Violations::default();
    let count = user_ids.len();
    check.check((1..=MAX_BATCH).contains(&count), "user_ids", "must name 1 to 100 users");
    let users =
        user_ids.iter().take(MAX_BATCH).enumerate().filter_map(|(index, text)| {
            check.parse(format!("user_ids[{index}]"), UserId::parse(text))
        });
    let users = users.collect();
    check.finish()?;
    Ok(users)
}

impl TryFrom<pb::ListUsersRequest> for ListUsers {
    type Error = Error;

    fn try_from(request: pb::ListUsersRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let limit = validate::page_size(&mut check, request.page_size, 50, 100);
        check_text(&mut check, "query", &request.query, MAX_NAME);
        check.finish()?;
        Ok(Self { query: request.query.to_lowercase(), limit, page_token: request.page_token })
    }
}

impl TryFrom<pb::ListBlockedUsersRequest> for ListBlocks {
    type Error = Error;

    fn try_from(request: pb::ListBlockedUsersRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let limit = validate::page_size(&mut check, request.page_size, 100, 200);
        check.finish()?;
        Ok(Self { limit, page_token: request.page_token })
    }
}

impl TryFrom<pb::UpdateUserRequest> for UpdateUser {
    type Error = Error;

    fn try_from(request: pb::UpdateUserRequest) -> Result<Self, Error> {
        let mut check = Violations::default();
        let given = request.user.unwrap_or_default();
        let user = Some(given.user_id.as_str()).filter(|id| !id.is_empty());
        let user = user.and_then(|id| check.parse("user.user_id", UserId::parse(id)));
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        check.check(!paths.is_empty(), "update_mask", "must name what to change");
        let mut changes = ProfileChanges::default();
        for path in &paths {
            match path.as_str() {
                "display_name" => {
                    check_text(&mut check, "user.display_name", &given.display_name, MAX_NAME);
                    changes.display_name = Some(given.display_name.clone());
                }
                "avatar_url" => {
                    check_text(&mut check, "user.avatar_url", &given.avatar_url, MAX_AVATAR_URL);
                    changes.avatar_url = Some(given.avatar_url.clone());
                }
                "attributes" => {
                    check_attributes(&mut check, &given.attributes);
                    changes.attributes = Some(given.attributes.clone());
                }
                _ => {
                    let rule = "must name only display_name, avatar_url, attributes";
                    check.add("update_mask", rule);
                }
            }
        }
        check.finish()?;
        Ok(Self { user, changes })
    }
}

/// A name stands among other text: what reorders or hides that is none.
fn check_text(check: &mut Violations, field: &str, text: &str, max: usize) {
    let short = text.chars().count() <= max;
    check.check(short, field, format!("must be at most {max} characters"));
    let clean = !text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    check.check(clean, field, "must hold no control characters");
}

fn check_attributes(check: &mut Violations, attributes: &BTreeMap<String, String>) {
    let field = "user.attributes";
    check.check(attributes.len() <= MAX_KEYS, field, "must have at most 32 keys");
    let keys = attributes.keys().all(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    check.check(keys, field, "must have keys of 1 to 64 bytes");
    let values = attributes.values().all(|value| value.len() <= MAX_VALUE_BYTES);
    check.check(values, field, "must have values of at most 1,024 bytes");
}

/// A profile as others see it.
pub(crate) fn user_to_pb(user: &UserId, profile: Profile) -> pb::User {
    pb::User {
        user_id: user.as_str().to_owned(),
        display_name: profile.display_name,
        avatar_url: profile.avatar_url,
        attributes: profile.attributes,
        create_time: Some(clock::timestamp(profile.create_time)),
        update_time: Some(clock::timestamp(profile.update_time)),
    }
}

/// A block as whoever set it sees it.
pub(crate) fn blocked_to_pb(user: &UserId, since: Micros) -> pb::BlockedUser {
    pb::BlockedUser {
        user_id: user.as_str().to_owned(),
        create_time: Some(clock::timestamp(since)),
    }
}
