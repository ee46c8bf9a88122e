//! Pages of what the server does not push.

use confab_proto::participants::v1::ListInboxEventsRequest;

use super::{
    tracker::{Item, PageRequest},
    update::INBOX,
};
use crate::{client::Client, error::Error};

/// Events a page. With the largest contents a page is some megabytes.
const PAGE_SIZE: u16 = 100;

/// Gets the events above `request.after`.
pub(super) async fn page(client: &Client, request: &PageRequest) -> Result<Vec<Item>, Error> {
    if request.topic != INBOX {
        let (events, _) = client.events_after(&request.topic, request.after, PAGE_SIZE).await?;
        return Ok(events.into_iter().map(|event| Item::Event(Box::new(event))).collect());
    }
    let after_inbox_seq = request.after;
    let page_size = i32::from(PAGE_SIZE);
    let answer = client.call(ListInboxEventsRequest { after_inbox_seq, page_size }).await?;
    Ok(answer.events.into_iter().map(|event| Item::Inbox(Box::new(event))).collect())
}
