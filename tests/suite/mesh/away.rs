//! What goes on while one process is away, and what does not: the table in
//! docs/operations.md.

use std::time::Duration;

use confab_client::{Client, Error};
use confab_kit::role::Role;
use confab_proto::{
    conversations::v1::{GetConversationRequest, ListConversationsRequest},
    errors::v1::Reason,
    messages::v1::{GetMessageRequest, SendMessageRequest},
    participants::v1::{GetUserRequest, ListInboxEventsRequest},
    realtime::v1::ListSessionsRequest,
};
use confab_tests::harness::{Checked, Deployment, Shape, Violation, within};

use crate::promises::{WHOLE, among_kills, caught, once};

/// How long the others may take to find out that one is away.
const FOUND_OUT: Duration = Duration::from_secs(20);

/// A user at the public port of one process, and a conversation that is in memory.
struct Place {
    client: Client,
    id: String,
    sent: u64,
}

impl Place {
    async fn send(&mut self) -> Result<(), Error> {
        self.sent += 1;
        let request = SendMessageRequest {
            conversation_id: self.id.clone(),
            request_id: format!("send-{}", self.sent),
            content: Some(confab_client::text("hello")),
            ..SendMessageRequest::default()
        };
        once(&self.client, request).await.map(drop)
    }

    async fn read(&self) -> Result<(), Error> {
        let conversation_id = self.id.clone();
        once(&self.client, GetMessageRequest { conversation_id, message_seq: 2 }).await.map(drop)
    }

    async fn get(&self) -> Result<(), Error> {
        let conversation_id = self.id.clone();
        once(&self.client, GetConversationRequest { conversation_id }).await.map(drop)
    }

    async fn list(&self) -> Result<(), Error> {
        once(&self.client, ListConversationsRequest::default()).await.map(drop)
    }

    async fn inbox(&self) -> Result<(), Error> {
        once(&self.client, ListInboxEventsRequest::default()).await.map(drop)
    }

    async fn profile(&self) -> Result<(), Error> {
        let user_id = "alice".to_owned();
        match once(&self.client, GetUserRequest { user_id }).await {
            Err(error) if error.reason() == Some(Reason::UserNotFound) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn sessions(&self) -> Result<(), Error> {
        once(&self.client, ListSessionsRequest::default()).await.map(drop)
    }
}

fn works(what: &str, away: Role, answer: &Result<(), Error>) -> Checked {
    Violation::unless(answer.is_ok(), || format!("{what} without {away}: {answer:?}"))
}

/// Refused at once, once it is known that nobody is there.
async fn fails(what: &str, away: Role, mut ask: impl AsyncFnMut() -> Result<(), Error>) -> Checked {
    let asking = async {
        loop {
            let answer = ask().await;
            let reason = answer.as_ref().err().and_then(Error::reason);
            if reason == Some(Reason::PeerUnavailable) {
                return Ok(());
            }
            Violation::unless(answer.is_err(), || format!("{what} without {away} worked"))?;
        }
    };
    within(FOUND_OUT, what, asking).await?
}

/// Each away in turn, and back.
async fn run(mutant: Option<&str>, roles: &[Role]) -> Checked {
    let mut confab = Deployment::start(Shape::Mesh, among_kills(None)).await?;
    for away in roles.iter().copied() {
        let entry = Role::ALL.into_iter().find(|role| *role != away).unwrap_or(away);
        if mutant.is_some() {
            // The others are there when it starts: nobody is left alone yet.
            let node = confab.of_mut(entry);
            node.mutate(mutant);
            node.kill9();
            node.restart().await?;
            confab.meet().await?;
        }
        let client = confab.of(entry).client("dev", "alice").await?;
        let id = client.create_group("away", &["bob"]).await?.conversation_id;
        client.send(&id, "hello").await?;
        let mut place = Place { client, id, sent: 0 };
        place.list().await?;
        confab.of_mut(away).kill9();
        match away {
            Role::Messages => {
                fails("a send", away, async || place.send().await).await?;
                fails("a read", away, async || place.read().await).await?;
                works("an inbox", away, &place.inbox().await)?;
                works("a profile", away, &place.profile().await)?;
                works("sessions", away, &place.sessions().await)?;
            }
            Role::Conversations => {
                fails("a list", away, async || place.list().await).await?;
                fails("a conversation", away, async || place.get().await).await?;
                works("a send", away, &place.send().await)?;
                works("a read", away, &place.read().await)?;
                works("an inbox", away, &place.inbox().await)?;
            }
            Role::Participants => {
                fails("an inbox", away, async || place.inbox().await).await?;
                fails("a list", away, async || place.list().await).await?;
                works("a send", away, &place.send().await)?;
                works("a read", away, &place.read().await)?;
                works("a conversation", away, &place.get().await)?;
            }
            Role::Realtime => {
                fails("sessions", away, async || place.sessions().await).await?;
                works("a send", away, &place.send().await)?;
                works("a read", away, &place.read().await)?;
                works("a list", away, &place.list().await)?;
                works("an inbox", away, &place.inbox().await)?;
            }
            // Nobody asks it anything.
            Role::Gateway => {}
        }
        confab.of_mut(away).restart().await?;
        confab.meet().await?;
        let again = async { while place.send().await.is_err() {} };
        within(FOUND_OUT, "all of it works again", again).await?;
    }
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_takes_only_its_own_work_with_it() -> Checked {
    within(WHOLE, "parts that are away", Box::pin(run(None, &Role::ALL))).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_left_alone_for_ever_is_caught() {
    caught("breaker-never-closes", run(Some("breaker-never-closes"), &[Role::Messages])).await;
}
