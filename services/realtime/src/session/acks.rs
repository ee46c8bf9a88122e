//! What the client says it has stored. Only what was delivered on this stream,
//! or lay below its cursors, can be acknowledged.

use super::stream::Stream;
use crate::{error::Error, store::Acknowledged};

impl Stream {
    /// Moves the session's cursors, or says what is wrong and moves none.
    pub(super) fn acknowledge(&mut self, acknowledged: &Acknowledged) -> Result<(), Error> {
        for (conversation, seq) in &acknowledged.cursors {
            let watching = self.watches.get(conversation).map(|w| w.lane.lock().cursor());
            // The watch may have ended while the ack was under way.
            let delivered = watching.or_else(|| self.ended.get(conversation).copied());
            let unknown = || Error::NotWatched(conversation.as_str().to_owned());
            check(*seq, delivered.ok_or_else(unknown)?)?;
        }
        if let Some(seq) = acknowledged.inbox_seq {
            check(seq, self.inbox.cursor())?;
        }
        self.keeper.acknowledge(acknowledged);
        for (conversation, seq) in &acknowledged.cursors {
            let ended = self.ended.get(conversation).is_some_and(|delivered| seq >= delivered);
            if ended && !self.watches.contains_key(conversation) {
                self.keeper.unwatch(conversation);
            }
        }
        Ok(())
    }
}

fn check(cursor: u64, delivered: u64) -> Result<(), Error> {
    if cursor > delivered {
        return Err(Error::CursorAboveHead { cursor, head: delivered });
    }
    Ok(())
}
