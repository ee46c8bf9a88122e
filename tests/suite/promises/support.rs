//! What several promise tests need of a client: one try without retries, and
//! whole logs.

use std::time::Duration;

use confab_client::{Client, Error, Rpc};
use confab_proto::messages::v1::{
    Event, ListMessagesRequest, ListOrder, ListReceiptsRequest, Message, Receipt,
};
use confab_tests::harness::{Checked, Violation, eventually, must_be_caught, within};
use http::uri::PathAndQuery;
use tokio::task::JoinSet;
use tonic::{Request, client::Grpc};
use tonic_prost::ProstCodec;

use super::history::History;

/// Longest that one try may take.
pub(crate) const TRY: Duration = Duration::from_secs(10);
/// A whole scenario hangs when it takes longer than this.
pub(crate) const WHOLE: Duration = Duration::from_mins(3);

const LONG: u64 = 1100;
const HANDS: u64 = 32;

/// Sends more messages to a conversation than a stream replays of it.
pub(crate) async fn fill(owner: &Client, id: &str) -> Checked {
    let mut fillers = JoinSet::new();
    for hand in 0..HANDS {
        let (owner, id) = (owner.clone(), id.to_owned());
        fillers.spawn(async move {
            for number in 0..LONG.div_ceil(HANDS) {
                owner.send(&id, format!("filler {hand} {number}")).await?;
            }
            Ok(())
        });
    }
    all_ended(fillers, WHOLE, "the fillers").await.map(drop)
}

/// A mutant breaks the scenario.
pub(crate) async fn caught(mutant: &str, scenario: impl Future<Output = Checked>) {
    let run = within(WHOLE, mutant, Box::pin(scenario)).await;
    must_be_caught(mutant, run.and_then(|run| run));
}

/// Waits until so many more were answered. Nobody who works ends before, but with a
/// violation.
pub(crate) async fn answered(
    history: &History,
    workers: &mut JoinSet<Checked>,
    more: u64,
    (patience, what): (Duration, &str),
) -> Checked {
    let target = history.acknowledged() + more;
    eventually(patience, what, || {
        let ended = workers.try_join_next();
        let reached = history.acknowledged() >= target;
        async move {
            match ended {
                Some(ended) => ended.map_err(Violation::unable)?.map(|()| None),
                None => Ok(reached.then_some(())),
            }
        }
    })
    .await
}

/// One try of a unary call, without the client's retries.
pub(crate) async fn once<R: Rpc>(client: &Client, request: R) -> Result<R::Response, Error> {
    let mut grpc = Grpc::new(client.transport()).max_decoding_message_size(64 << 20);
    grpc.ready().await.map_err(|error| Error::Transport(error.to_string()))?;
    let mut request = Request::new(request);
    request.set_timeout(TRY);
    let path = PathAndQuery::from_static(R::METHOD.path);
    let codec = ProstCodec::<R, R::Response>::default();
    let answer = tokio::time::timeout(TRY, grpc.unary(request, path, codec)).await;
    Ok(answer.map_err(|_| Error::TimedOut)??.into_inner())
}

/// The whole log, as `ListEvents` gives it. Dense, or it is a violation.
pub(crate) async fn all_events(client: &Client, id: &str) -> Checked<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.len() as u64;
        let (page, head) = client.events_after(id, after, 500).await?;
        Violation::unless(after + page.len() as u64 <= head, || {
            format!("events above the head {head} of {id}")
        })?;
        for event in page {
            let due = events.len() as u64 + 1;
            Violation::unless(event.seq == due, || {
                format!("ListEvents of {id} gives event {} where {due} is due", event.seq)
            })?;
            events.push(event);
        }
        if events.len() as u64 >= head {
            return Ok(events);
        }
        Violation::unless(events.len() as u64 > after, || {
            format!("ListEvents of {id} gives nothing above {after}, but the head is {head}")
        })?;
    }
}

/// All messages, in pages of this size.
pub(crate) async fn all_messages(
    client: &Client,
    id: &str,
    order: ListOrder,
    page_size: i32,
) -> Checked<Vec<Message>> {
    let mut messages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListMessagesRequest {
            conversation_id: id.to_owned(),
            page_size,
            page_token,
            order: order.into(),
            from_seq: 0,
            ..ListMessagesRequest::default()
        };
        let page = client.call(request).await?;
        messages.extend(page.messages);
        if page.next_page_token.is_empty() {
            return Ok(messages);
        }
        page_token = page.next_page_token;
    }
}

/// Everybody's cursors.
pub(crate) async fn all_receipts(client: &Client, id: &str) -> Checked<Vec<Receipt>> {
    let request = ListReceiptsRequest {
        conversation_id: id.to_owned(),
        page_size: 200,
        page_token: String::new(),
    };
    let page = client.call(request).await?;
    Violation::unless(page.next_page_token.is_empty(), || "more receipts than users")?;
    Ok(page.receipts)
}

/// Waits for all of them; the first violation ends the waiting.
pub(crate) async fn all_ended<T: 'static>(
    mut tasks: JoinSet<Checked<T>>,
    limit: Duration,
    what: &str,
) -> Checked<Vec<T>> {
    let mut results = Vec::new();
    while let Some(ended) = within(limit, what, tasks.join_next()).await? {
        results.push(ended.map_err(Violation::unable)??);
    }
    Ok(results)
}

/// What a message says.
pub(crate) fn text_of(message: &Message) -> Option<&str> {
    message.content.as_ref().map(|content| content.text.as_str())
}
