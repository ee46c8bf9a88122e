//! What the checklist promises, line by line, through the public API of a whole
//! node, and of a cluster (`cluster`). docs/features.md names the test beside each line. Nothing here tries
//! to break anything: that is for `promises` and `bad_input`.

mod applications;
mod backup;
mod channels;
mod clock;
mod cluster;
mod command_line;
mod conversations;
mod history;
mod lists;
mod logins;
mod markup;
mod messages;
mod moderation;
mod operations;
mod participants;
mod people;
mod reactions;
mod realtime;
mod reports;
mod rules;
mod stage;
mod threads;

use std::time::Duration;

use confab_client::{Client, Error};
use confab_kit::error::Reason;
use confab_proto::messages::v1::{GetMessageRequest, Message};
use confab_tests::harness::{Checked, Violation};

use self::stage::Stage;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Alice, Bob and Carol of one tenant, and its backend, where nobody else of it is.
struct Cast {
    stage: Stage,
    alice: Client,
    bob: Client,
    carol: Client,
    /// An application.
    app: Client,
}

impl Cast {
    async fn new() -> Checked<Self> {
        Self::on(Stage::find(|_| {}).await?).await
    }

    /// Where retentions are kept every second.
    async fn with_quick_retention() -> Checked<Self> {
        Self::on(Stage::find(|config| config.limits.retention_seconds = 1).await?).await
    }

    async fn on(stage: Stage) -> Checked<Self> {
        let alice = stage.client("dev", "alice").await?;
        let bob = stage.client("dev", "bob").await?;
        let carol = stage.client("dev", "carol").await?;
        let app = stage.application("dev", "backend").await?;
        Ok(Self { stage, alice, bob, carol, app })
    }

    /// A client of somebody else.
    async fn client(&self, tenant: &str, user: &str) -> Checked<Client> {
        self.stage.client(tenant, user).await
    }

    /// Another application.
    async fn application(&self, tenant: &str, name: &str) -> Checked<Client> {
        self.stage.application(tenant, name).await
    }

    /// The tenant's administrator.
    async fn admin(&self) -> Checked<Client> {
        self.stage.admin("dev", "admin").await
    }

    /// A group of the three: Alice owns it.
    async fn group(&self) -> Checked<String> {
        let group = self.alice.create_group("the group", &["bob", "carol"]).await?;
        Ok(group.conversation_id)
    }
}

/// A message as a user reads it.
async fn get(client: &Client, id: &str, message_seq: u64) -> Checked<Message> {
    let request = GetMessageRequest { conversation_id: id.to_owned(), message_seq };
    let answer = client.call(request).await?;
    answer.message.ok_or_else(|| Violation::broken("an answer without its message"))
}

/// The call must be refused with this reason.
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, reason: Reason) -> Checked<Error> {
    match answer {
        Err(error) if error.reason() == Some(reason) => Ok(error),
        other => Err(Violation::broken(format!("{reason:?} was due, and this came: {other:?}"))),
    }
}

/// The two must be equal.
#[expect(clippy::needless_pass_by_value, reason = "reads better at its many callers")]
fn equal<T: PartialEq + std::fmt::Debug>(found: T, due: T) -> Checked {
    Violation::unless(found == due, || format!("{due:?} was due, and this came: {found:?}"))
}
