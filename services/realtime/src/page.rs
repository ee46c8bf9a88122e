//! What a watch has read and not sent yet. It holds little, however large the
//! events are: a reader that stops must not keep a long page in memory. What does
//! not fit is dropped and read again when its turn comes, and the next read asks
//! for about as many events as fit.

use std::collections::VecDeque;

use confab_proto::messages::v1::Event;
use prost::Message as _;

/// What a page holds at most, in bytes as the wire counts them; one event always fits.
const MAX_BYTES: usize = 256 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Page {
    events: VecDeque<Event>,
    /// The newest event that the user may see, as of the read.
    pub(crate) head: u64,
    /// Events that the next read asks for.
    size: i32,
    max_size: i32,
}

impl Page {
    /// Nothing; reads ask for at most so many events.
    pub(crate) fn new(max_size: i32) -> Self {
        Self { events: VecDeque::new(), head: 0, size: max_size, max_size }
    }

    /// Events that the next read asks for.
    pub(crate) fn size(&self) -> i32 {
        self.size
    }

    /// Takes what was read.
    pub(crate) fn fill(&mut self, mut events: Vec<Event>, head: u64) {
        let (mut bytes, mut fit) = (0, 0);
        for event in &events {
            bytes += event.encoded_len();
            if bytes > MAX_BYTES && fit > 0 && !confab_log::mutant::is("page-unbounded") {
                break;
            }
            fit += 1;
        }
        if fit < events.len() {
            self.size = i32::try_from(fit).unwrap_or(i32::MAX);
        } else if bytes <= MAX_BYTES / 2 {
            self.size = self.size.saturating_mul(2).min(self.max_size);
        }
        events.truncate(fit);
        // What was cut off gives its memory back, too.
        events.shrink_to_fit();
        self.events = events.into();
        self.head = head;
    }

    /// Whether it has an event above this one.
    pub(crate) fn passes(&self, seq: u64) -> bool {
        self.events.back().is_some_and(|event| event.seq > seq)
    }

    /// The next event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.clear();
        }
        event
    }

    /// Takes back the event that was next.
    pub(crate) fn unpop(&mut self, event: Event) {
        self.events.push_front(event);
    }

    /// Drops what is left, and the memory that it took.
    pub(crate) fn clear(&mut self) {
        self.events = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use confab_proto::messages::v1::{Content, Message, event::Kind};

    use super::*;

    fn events(count: u64, bytes: usize) -> Vec<Event> {
        let content = Content { text: "x".repeat(bytes), ..Content::default() };
        let kind = Kind::MessageCreated(Message { content: Some(content), ..Message::default() });
        (1..=count).map(|seq| Event { seq, kind: Some(kind.clone()), ..Event::default() }).collect()
    }

    #[test]
    fn it_holds_little_and_the_next_read_asks_for_what_fits() {
        let mut page = Page::new(250);
        page.fill(events(250, 50_000), 250);
        let held: Vec<u64> = std::iter::from_fn(|| page.pop()).map(|event| event.seq).collect();
        assert_eq!(held, [1, 2, 3, 4, 5]);
        assert_eq!(page.size(), 5);
        confab_log::mutant::set(Some("page-unbounded"));
        page.fill(events(250, 50_000), 250);
        confab_log::mutant::set(None);
        assert!(page.events.len() > 5, "the mutant is seen");
        page.fill(events(5, 50_000), 250);
        assert_eq!(page.size(), 5, "as many fit again");
        for size in [10, 20, 40, 80, 160, 250, 250] {
            page.fill(events(5, 100), 250);
            assert_eq!(page.size(), size, "more, while the events are small");
        }
    }

    #[test]
    fn one_event_always_fits() {
        let mut page = Page::new(250);
        page.fill(events(2, 1 << 20), 2);
        assert!(page.passes(0) && !page.passes(1));
        assert_eq!((page.size(), page.pop().map(|event| event.seq)), (1, Some(1)));
    }
}
