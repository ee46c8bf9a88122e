//! In what two states of a conversation differ. For tests: it shows content.

use std::{collections::BTreeMap, fmt::Debug};

use super::ConversationState;

pub(super) fn diff(left: &ConversationState, right: &ConversationState) -> Vec<String> {
    let mut found = Vec::new();
    compare(&mut found, "applied_seq", Some(&left.applied_seq), Some(&right.applied_seq));
    compare(&mut found, "conversation", left.conversation(), right.conversation());
    let participants = |state: &ConversationState| -> BTreeMap<_, _> {
        state.participants().map(|row| (row.user_id.clone(), row.clone())).collect()
    };
    compare_all(&mut found, "participant", &participants(left), &participants(right));
    let from = left.messages_from.max(right.messages_from);
    let messages = |state: &ConversationState| -> BTreeMap<_, _> {
        state.messages().filter(|row| row.seq >= from).map(|row| (row.seq, row.clone())).collect()
    };
    compare_all(&mut found, "message", &messages(left), &messages(right));
    found
}

fn compare_all<K: Ord + Debug, V: PartialEq + Debug>(
    found: &mut Vec<String>,
    what: &str,
    left: &BTreeMap<K, V>,
    right: &BTreeMap<K, V>,
) {
    for (key, value) in left {
        compare(found, &format!("{what} {key:?}"), Some(value), right.get(key));
    }
    for (key, value) in right.iter().filter(|(key, _)| !left.contains_key(key)) {
        compare(found, &format!("{what} {key:?}"), None, Some(value));
    }
}

fn compare<T: PartialEq + Debug>(
    found: &mut Vec<String>,
    what: &str,
    left: Option<&T>,
    right: Option<&T>,
) {
    if left != right {
        found.push(format!("{what}: {left:?} is not {right:?}"));
    }
}
