//! What the client says it has stored. Only what was delivered on this stream,
//! or lay below its cursors, can be acknowledged.

use confab_log::ConversationId;
use confab_proto::realtime::v1::Ack;

use super::stream::Stream;
use crate::error::Error;

impl Stream {
    /// Moves the session's cursors, or says what is wrong with the ack.
    pub(super) fn on_ack(&mut self, ack: &Ack) -> Result<(), Error> {
        for cursor in &ack.cursors {
            let not_watched = || Error::NotWatched(cursor.conversation_id.clone());
            let conversation =
                ConversationId::parse(&cursor.conversation_id).map_err(|_| not_watched())?;
            let watching = self.watches.get(&conversation).map(|w| w.watch.cursor());
            let ended = self.ended.get(&conversation).copied();
            // The watch may have ended while the ack was under way.
            let delivered = watching.or(ended).ok_or_else(not_watched)?;
            check(cursor.seq, delivered)?;
            self.keeper.acknowledge(&conversation, cursor.seq);
            if watching.is_none() && cursor.seq >= delivered {
                self.keeper.unwatch(&conversation);
            }
        }
        if let Some(seq) = ack.inbox_seq {
            check(seq, self.inbox.cursor())?;
            self.keeper.acknowledge_inbox(seq);
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
