//! What the checklist promises, line by line, through the public API of a whole
//! node. docs/features.md names the test beside each line. Nothing here tries
//! to break anything: that is for `promises` and `bad_input`.

mod applications;
mod backup;
mod channels;
mod clock;
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
mod threads;

use std::time::Duration;

use confab_client::{Client, ClientOptions, Error};
use confab_kit::{error::Reason, identity::Claims};
use confab_proto::messages::v1::{GetMessageRequest, Message};
use confab_tests::harness::{Checked, Mesh, Violation};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Alice, Bob and Carol of one tenant, and its backend, on a node of their own.
struct Cast {
    /// Ends when it is dropped.
    mesh: Mesh,
    alice: Client,
    bob: Client,
    carol: Client,
    /// An application.
    app: Client,
}

impl Cast {
    async fn new() -> Checked<Self> {
        let mesh = Mesh::in_process().await?;
        let alice = mesh.client("dev", "alice").await?;
        let bob = mesh.client("dev", "bob").await?;
        let carol = mesh.client("dev", "carol").await?;
        let token = mesh.tokens()?.application("dev", "backend");
        let app = with_token(&mesh, token).await?;
        Ok(Self { mesh, alice, bob, carol, app })
    }

    /// A client of somebody else.
    async fn client(&self, tenant: &str, user: &str) -> Checked<Client> {
        self.mesh.client(tenant, user).await
    }

    /// Another application.
    async fn application(&self, tenant: &str, name: &str) -> Checked<Client> {
        with_token(&self.mesh, self.mesh.tokens()?.application(tenant, name)).await
    }

    /// The tenant's administrator.
    async fn admin(&self) -> Checked<Client> {
        let claims = Claims::tenant_admin("dev", "admin");
        with_token(&self.mesh, self.mesh.tokens()?.sign(&claims)).await
    }

    /// A group of the three: Alice owns it.
    async fn group(&self) -> Checked<String> {
        let group = self.alice.create_group("the group", &["bob", "carol"]).await?;
        Ok(group.conversation_id)
    }
}

async fn with_token(mesh: &Mesh, token: String) -> Checked<Client> {
    Ok(Client::connect(ClientOptions::new(mesh.uri()).token(token)).await?)
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
