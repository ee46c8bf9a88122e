//! Budgets of users: so many calls, unary and on a stream alike, and so many
//! streams. Nobody uses up another's; what the server reads to keep a stream
//! whole is nobody's.

use std::time::{Duration, Instant};

use confab_client::{Client, Error};
use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{CreateConversationRequest, ListConversationsRequest},
    messages::v1::{Message, SendMessageRequest},
    realtime::v1::{Hello, connect_request, connect_response::Frame, result::Outcome},
};
use confab_tests::harness::{Checked, Node, Violation, eventually};

use super::{caught, passes, refused};
use crate::{
    promises::{all_events, once, program},
    raw::{PATIENCE, Raw, Refused, Stream, call, hello, reason_name},
};

/// Messages a minute; one comes back each second.
const SENDS: usize = 60;
/// More than come back while they are sent.
const OTHERS: usize = SENDS / 3;
/// More than anybody may send meanwhile.
const TOO_MANY: usize = 600;

fn send(group: &str, request_id: &str) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: group.to_owned(),
        request_id: request_id.to_owned(),
        after_seq: 0,
        content: Some(confab_client::text(request_id)),
        ..SendMessageRequest::default()
    }
}

/// A user with a group.
struct Member {
    client: Client,
    raw: Raw,
    group: String,
    sent: usize,
    begun: Instant,
}

impl Member {
    async fn new(node: &Node, tenant: &str, user: &str) -> Checked<Self> {
        let client = node.client(tenant, user).await?;
        let token = node.tokens()?.user(tenant, user);
        let raw = Raw::connect(node.uri()).await?.token(&token);
        let group = client.create_group("group", &["bob"]).await?.conversation_id;
        Ok(Self { client, raw, group, sent: 0, begun: Instant::now() })
    }

    /// One try of a message of this number.
    async fn send(&mut self, number: usize) -> Result<Message, Error> {
        let request = send(&self.group, &format!("request-{number}"));
        let answer = once(&self.client, request).await?;
        self.sent += 1;
        Ok(answer.message.unwrap_or_default())
    }

    /// Sends until the budget is used up: the first that was refused, and why.
    async fn use_up(&mut self) -> Checked<(usize, Error)> {
        for number in self.sent..self.sent + TOO_MANY {
            match self.send(number).await {
                Ok(_) => {}
                Err(error) => return Ok((number, refused::<()>(Err(error), Reason::RateLimited)?)),
            }
        }
        Err(Violation::broken(format!("{} messages without a limit", self.sent)))
    }

    /// The same on a stream. Counts the messages, too.
    async fn use_up_on_a_stream(&mut self) -> Checked<Refused> {
        let mut stream = Stream::welcomed(&self.raw, hello(&[])).await?;
        for number in 0..TOO_MANY {
            let request = send(&self.group, &format!("stream-{number}"));
            stream.say(call(1, &request)).await?;
            let outcome = stream.until(|frame| match frame {
                Frame::Result(result) => Some(result.outcome),
                _ => None,
            });
            match outcome.await? {
                Some(Outcome::Response(_)) => self.sent += 1,
                Some(Outcome::Failure(failure)) => return Refused::of_failure(&failure),
                None => return Err(Violation::broken("a result without an outcome")),
            }
        }
        Err(Violation::broken("calls on a stream have no limit"))
    }

    /// What was sent is not above the limit and what has come back since.
    fn kept_the_limit(&self) -> Checked {
        let back = usize::try_from(self.begun.elapsed().as_secs()).unwrap_or(usize::MAX);
        Violation::unless(self.sent <= SENDS + back + 1, || {
            format!("{} messages in {:?}", self.sent, self.begun.elapsed())
        })
    }
}

/// A refusal is not remembered: the same id, after the time that was said, is one
/// message.
async fn check_retry(alice: &mut Member, bob: &Client, late: usize, delay: Duration) -> Checked {
    tokio::time::sleep(delay).await;
    let message = alice.send(late).await?;
    alice.use_up().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let again = alice.send(late).await?;
    Violation::unless(again.seq == message.seq, || format!("{again:?} after {message:?}"))?;
    let id = format!("request-{late}");
    let events = all_events(bob, &alice.group).await?;
    let named = events.iter().filter(|event| event.request_id == id).count();
    Violation::unless(named == 1, || format!("{named} messages of one request"))
}

async fn check(mutant: Option<&str>) -> Checked {
    let options = program(mutant)
        .env("CONFAB_RATES__ENABLED", "true")
        .env("CONFAB_RATES__SEND__PER_MINUTE", &SENDS.to_string())
        .env("CONFAB_RATES__SEND__PER_HOUR", "0");
    let node = Node::start(options).await?;
    let mut alice = Member::new(&node, "acme", "alice").await?;
    let bob = node.client("acme", "bob").await?;
    let mut namesake = Member::new(&node, "other", "alice").await?;
    let (late, error) = alice.use_up().await?;
    alice.kept_the_limit()?;
    Violation::unless(error.metadata("class") == Some("send"), || format!("{error:?}"))?;
    let delay = error.retry_after().ok_or_else(|| Violation::broken("no RetryInfo"))?;
    Violation::unless(delay <= Duration::from_secs(1), || format!("come back in {delay:?}?"))?;

    // Another user, and the other tenant's user of the same name, have budgets of their own.
    for number in 0..OTHERS {
        once(&bob, send(&alice.group, &format!("bobs-{number}"))).await?;
        namesake.send(number).await?;
    }

    check_retry(&mut alice, &bob, late, delay).await?;

    // A stream is no way around.
    let refused = alice.use_up_on_a_stream().await?;
    let right = refused.reason == reason_name(Reason::RateLimited) && refused.retry;
    Violation::unless(right, || format!("{refused:?}"))?;
    alice.kept_the_limit()?;
    node.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sends_so_many_messages_a_minute_and_no_more() {
    passes(Box::pin(check(None))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_without_limits_are_caught() {
    caught("no-rate-limit", Box::pin(check(Some("no-rate-limit")))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_that_users_share_are_caught() {
    caught("budgets-without-user", Box::pin(check(Some("budgets-without-user")))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_that_tenants_share_are_caught() {
    caught("budgets-without-tenant", Box::pin(check(Some("budgets-without-tenant")))).await;
}

const FEW_READS: usize = 3;
const GROUPS: usize = 12;
const STREAMS: usize = 3;

/// A device that comes back has much to be brought, and asked for one stream.
async fn check_streams(mutant: Option<&str>) -> Checked {
    let options = program(mutant)
        .env("CONFAB_RATES__ENABLED", "true")
        .env("CONFAB_RATES__READ__PER_MINUTE", &FEW_READS.to_string())
        .env("CONFAB_RATES__CREATE__PER_MINUTE", "0")
        .env("CONFAB_LIMITS__STREAMS_PER_USER", &STREAMS.to_string());
    let node = Node::start(options).await?;
    let alice = node.client("acme", "alice").await?;
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        let create = CreateConversationRequest {
            request_id: format!("group-{number}"),
            r#type: confab_proto::conversations::v1::ConversationType::Group.into(),
            ..CreateConversationRequest::default()
        };
        let created = once(&alice, create).await?.conversation.unwrap_or_default();
        once(&alice, send(&created.conversation_id, "first")).await?;
        groups.push(created.conversation_id);
    }
    let raw = Raw::connect(node.uri()).await?.token(&node.tokens()?.user("acme", "alice"));
    let watched: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut first = Stream::welcomed(&raw, hello(&watched)).await?;
    let mut synced = 0;
    while synced < GROUPS {
        first.until(|frame| matches!(frame, Frame::Synced(_)).then_some(())).await?;
        synced += 1;
    }
    // Her own reads are counted, and there were none.
    for _ in 0..FEW_READS {
        once(&alice, ListConversationsRequest::default()).await?;
    }
    refused(once(&alice, ListConversationsRequest::default()).await, Reason::RateLimited)?;
    check_places(&raw, first).await?;
    node.finish()
}

/// So many streams, and another one when one of them has ended.
async fn check_places(raw: &Raw, first: Stream) -> Checked {
    let mut others = Vec::new();
    for _ in 1..STREAMS {
        others.push(Stream::welcomed(raw, hello(&[])).await?);
    }
    let mut beyond = Stream::open(raw).await?;
    beyond.say(hello(&[])).await?;
    match beyond.next().await? {
        None => {}
        Some(frame) => return Err(Violation::broken(format!("one stream too many: {frame:?}"))),
    }
    let refused = beyond.ending().await?.refused;
    let right = refused.reason == reason_name(Reason::TooManyStreams) && refused.retry;
    Violation::unless(right, || format!("{refused:?}"))?;
    drop(first);
    eventually(PATIENCE, "a place for another stream", || async {
        let mut stream = Stream::open(raw).await?;
        stream.say(connect_request::Frame::Hello(Hello::default())).await?;
        Ok(stream.next().await?.map(drop))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_opens_so_many_streams_and_their_replay_is_free() {
    passes(Box::pin(check_streams(None))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_without_a_limit_are_caught() {
    caught("no-stream-limit", Box::pin(check_streams(Some("no-stream-limit")))).await;
}
