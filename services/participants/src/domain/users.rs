//! Users: what others are shown of them, and whom they have blocked.

use std::collections::BTreeMap;

use confab_log::{Micros, UserId};
use minicbor::{Decode, Encode};

/// What others are shown of a user, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Profile {
    /// Instead of the id.
    #[n(0)]
    pub display_name: String,
    /// Where a picture is.
    #[n(1)]
    pub avatar_url: String,
    /// The team's own data.
    #[n(2)]
    pub attributes: BTreeMap<String, String>,
    /// When it was made.
    #[n(3)]
    pub create_time: Micros,
    /// When it changed last.
    #[n(4)]
    pub update_time: Micros,
}

/// Changes of a profile; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChanges {
    /// Instead of the id.
    pub display_name: Option<String>,
    /// Where a picture is.
    pub avatar_url: Option<String>,
    /// The team's own data, replaced as a whole.
    pub attributes: Option<BTreeMap<String, String>>,
}

impl ProfileChanges {
    /// The profile with the changes in it, whoever stores it.
    #[must_use]
    pub fn applied_to(self, profile: Option<Profile>, now: Micros) -> Profile {
        let before = profile.unwrap_or_else(|| Profile { create_time: now, ..Profile::default() });
        let after = Profile {
            display_name: self.display_name.unwrap_or_else(|| before.display_name.clone()),
            avatar_url: self.avatar_url.unwrap_or_else(|| before.avatar_url.clone()),
            attributes: self.attributes.unwrap_or_else(|| before.attributes.clone()),
            ..before
        };
        if after == before && before.update_time > 0 {
            return before;
        }
        Profile { update_time: now, ..after }
    }
}

/// A profile to be made or changed.
#[derive(Debug)]
pub(crate) struct UpdateUser {
    /// Whose; `None` for the caller's own.
    pub(crate) user: Option<UserId>,
    /// What is to change.
    pub(crate) changes: ProfileChanges,
}

/// A page of the tenant's profiles.
#[derive(Debug)]
pub(crate) struct ListUsers {
    /// In lower case; empty for everybody.
    pub(crate) query: String,
    /// Rows of a page.
    pub(crate) limit: usize,
    /// Where the page starts; empty for the first.
    pub(crate) page_token: String,
}

impl ListUsers {
    /// Whether the list shows this user.
    pub(crate) fn shows(&self, user: &UserId, profile: &Profile) -> bool {
        self.query.is_empty()
            || user.as_str().to_lowercase().contains(&self.query)
            || profile.display_name.to_lowercase().contains(&self.query)
    }
}

/// A page of whom the caller has blocked.
#[derive(Debug)]
pub(crate) struct ListBlocks {
    /// Rows of a page.
    pub(crate) limit: usize,
    /// Where the page starts; empty for the first.
    pub(crate) page_token: String,
}
