//! Whether a message would be taken: for what is no command and leaves no event,
//! like typing. It has no rule of its own, so it cannot differ from a send's.

use super::Judge;
use crate::{
    Command, Content, Digest, Micros, Request, RequestId, Row, RowKey, Seq, UserId, state::View,
};

/// Whether `decide` would let this user send a message at this time, where these
/// are the rows of the conversation and of the user's part in it.
pub fn may_write(user: &UserId, conversation: &Row, member: &Row, time: Micros) -> bool {
    let rows = Rows { conversation, member: (RowKey::Member(user.clone()), member) };
    let Ok(request_id) = RequestId::parse("none") else { return false };
    let request = Request {
        actor: user.clone(),
        request_id,
        digest: Digest([0; 16]),
        after_seq: None,
        command: Command::Send(Content::default()),
    };
    Judge { view: &rows, request: &request, time }.rule().is_ok()
}

/// The two rows that a send names, at no position of a log.
struct Rows<'a> {
    conversation: &'a Row,
    member: (RowKey, &'a Row),
}

impl View for Rows<'_> {
    fn seq(&self) -> Seq {
        0
    }
    fn ordinal(&self) -> u64 {
        0
    }
    fn last_message(&self) -> Seq {
        0
    }
    fn time(&self) -> Micros {
        0
    }
    fn row(&self, key: &RowKey) -> Option<&Row> {
        match key {
            RowKey::Conversation => Some(self.conversation),
            key => (*key == self.member.0).then_some(self.member.1),
        }
    }
    fn known(&self, _: &UserId, _: &RequestId) -> Option<(Digest, Seq)> {
        None
    }
}
