//! Whether a message would be taken: for what is no command and leaves no event,
//! like typing. It has no rule of its own, so it cannot differ from a send's.

use super::Judge;
use crate::{
    Command, Content, Digest, Micros, Request, RequestId, Row, RowKey, Seq, UserId, state::View,
};

/// Whether `decide` would let this user send a message at this time, where these
/// are the rows of the conversation and of the user's part in it.
pub fn may_write(user: &UserId, rows: &[(RowKey, Option<Row>)], time: Micros) -> bool {
    let Ok(request_id) = RequestId::parse("none") else { return false };
    let command = Command::send(Content::default());
    let request = Request::new(user.clone(), request_id, Digest([0; 16]), command);
    Judge { view: &Rows(rows), request: &request, time }.rule().is_ok()
}

/// The two rows that a send names, at no position of a log.
struct Rows<'a>(&'a [(RowKey, Option<Row>)]);

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
        self.0.iter().find(|(name, _)| name == key).and_then(|(_, row)| row.as_ref())
    }
    fn known(&self, _: &UserId, _: &RequestId) -> Option<(Digest, Seq)> {
        None
    }
}
