//! What a connection does with each thing that comes: a frame, a page of a gap,
//! an order of the application. Nothing here waits.

use std::time::Duration;

use confab_proto::{
    conversations::v1::ConversationCursor,
    realtime::v1::{
        Call, ConnectResponse, Result as CallResult, Watch, connect_request,
        connect_response::Frame, result::Outcome,
    },
};

use super::{
    connection::{Connection, farewell},
    handle::{Order, Queued},
    tracker::{Item, PageRequest, Step},
    update::{INBOX, Topic, Update},
    verdict::End,
};
use crate::error::Error;

/// Calls without an answer before those that nobody waits for are forgotten.
const CALLS: usize = 256;

impl Connection<'_> {
    pub(super) fn take_frame(&mut self, response: ConnectResponse) -> Result<(), End> {
        // A frame of a kind that this client does not know is passed over.
        let Some(frame) = response.frame else { return Ok(()) };
        let (topic, item) = match frame {
            Frame::Event(event) => {
                self.stream.client.note_head(&event.conversation_id, event.seq);
                (event.conversation_id.clone(), Item::Event(Box::new(event)))
            }
            Frame::Inbox(event) => (INBOX.to_owned(), Item::Inbox(Box::new(event))),
            Frame::Gap(gap) => {
                self.stream.client.note_head(&gap.conversation_id, gap.to_seq);
                (gap.conversation_id, Item::Gap { from: gap.from_seq, to: gap.to_seq })
            }
            Frame::Synced(synced) => (synced.conversation_id, Item::Synced { seq: synced.seq }),
            Frame::WatchEnded(ended) => {
                let reason = Error::from_failure(&ended.failure.unwrap_or_default());
                (ended.conversation_id, Item::Ended(reason))
            }
            Frame::Goodbye(goodbye) => return Err(farewell(&goodbye)),
            other => return self.take_other(other),
        };
        let steps = self.stream.tracker.accept(&topic, item).map_err(End::lost)?;
        self.stream.shared.set_duplicates(self.stream.tracker.duplicates());
        self.take_steps(&topic, steps);
        Ok(())
    }

    /// Frames that move no cursor.
    fn take_other(&mut self, frame: Frame) -> Result<(), End> {
        match frame {
            Frame::Head(head) => {
                self.stream.client.note_head(&head.conversation_id, head.seq);
                self.stream.emit(Update::Head(Box::new(head)));
            }
            Frame::Receipt(moved) => {
                let conversation_id = moved.conversation_id;
                let receipt = moved.receipt.unwrap_or_default();
                self.stream.emit(Update::Receipt { conversation_id, receipt });
            }
            Frame::Typing(typing) => {
                let lasts = typing.lasts.and_then(|lasts| Duration::try_from(lasts).ok());
                self.stream.emit(Update::Typing {
                    conversation_id: typing.conversation_id,
                    user_id: typing.user_id,
                    lasts: lasts.unwrap_or_default(),
                });
            }
            Frame::Presence(presence) => self.stream.emit(Update::Presence(Box::new(presence))),
            Frame::TokenExpiring(_) => self.renew_token(),
            Frame::Authenticated(answer) => self.take_authenticated(answer),
            Frame::Result(result) => self.take_result(result),
            Frame::Welcome(_) => {
                return Err(End::lost(Error::Protocol("a second welcome".to_owned())));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_result(&mut self, result: CallResult) {
        let Some(answer) = self.calls.remove(&result.call_id) else { return };
        let outcome = match result.outcome {
            Some(Outcome::Response(response)) => Ok(response),
            Some(Outcome::Failure(failure)) => Err(Error::from_failure(&failure)),
            None => Err(Error::Protocol("a result without an outcome".to_owned())),
        };
        // Whoever asked may have stopped waiting; then there is nobody to tell.
        let _ = answer.send(outcome);
    }

    pub(super) fn take_page(
        &mut self,
        request: &PageRequest,
        page: Result<Vec<Item>, Error>,
    ) -> Result<(), End> {
        let topic = request.topic.as_str();
        let page = match page {
            Ok(page) => page,
            Err(reason @ Error::Refused(_)) if !reason.is_retryable() && topic != INBOX => {
                let remove = vec![topic.to_owned()];
                self.send(connect_request::Frame::Watch(Watch { remove, ..Watch::default() }));
                let steps = self.stream.tracker.end(request, reason);
                self.take_steps(topic, steps);
                return Ok(());
            }
            Err(error) => return Err(End::lost(error)),
        };
        let steps = self.stream.tracker.fill(request, page).map_err(End::lost)?;
        self.take_steps(topic, steps);
        Ok(())
    }

    fn take_steps(&mut self, topic: &str, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Page(request) => self.pages_waiting.push_back(request),
                Step::Emit { epoch, update } => {
                    self.stream.made_progress();
                    let watch = Some((Topic::from(topic), epoch));
                    self.stream.outbox.push_back(Queued { watch, update });
                }
            }
        }
    }

    pub(super) fn take_order(&mut self, order: Order) {
        match order {
            Order::Watch { topic, cursor, epoch } => {
                self.stream.tracker.watch(&topic, cursor, epoch);
                let add = vec![ConversationCursor { conversation_id: topic, seq: cursor }];
                self.send(connect_request::Frame::Watch(Watch { add, ..Watch::default() }));
            }
            Order::Unwatch { topic } => {
                self.stream.tracker.unwatch(&topic);
                let remove = vec![topic];
                self.send(connect_request::Frame::Watch(Watch { remove, ..Watch::default() }));
            }
            Order::Call { request, timeout, answer } => {
                if self.calls.len() >= CALLS {
                    self.calls.retain(|_, answer| !answer.is_closed());
                }
                self.last_call_id += 1;
                let call_id = self.last_call_id;
                self.calls.insert(call_id, answer);
                let timeout = prost_types::Duration::try_from(timeout).ok();
                let request = Some(request);
                self.send(connect_request::Frame::Call(Call { call_id, request, timeout }));
            }
        }
    }
}
