//! What the checklist promises, line by line, through the public API of a whole
//! node. docs/features.md names the test beside each line. Nothing here tries
//! to break anything: that is for `promises` and `bad_input`.

mod backup;
mod clock;
mod command_line;
mod conversations;
mod lists;
mod messages;
mod moderation;
mod operations;
mod participants;
mod reactions;

use std::time::Duration;

use confab_client::{Client, Error};
use confab_kit::error::Reason;
use confab_tests::harness::{Checked, Mesh, Violation};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Alice, Bob and Carol of one tenant, on a node of their own.
struct Cast {
    /// Ends when it is dropped.
    _mesh: Mesh,
    alice: Client,
    bob: Client,
    carol: Client,
}

impl Cast {
    async fn new() -> Checked<Self> {
        let mesh = Mesh::in_process().await?;
        let alice = mesh.client("dev", "alice").await?;
        let bob = mesh.client("dev", "bob").await?;
        let carol = mesh.client("dev", "carol").await?;
        Ok(Self { _mesh: mesh, alice, bob, carol })
    }

    /// A group of the three: Alice owns it.
    async fn group(&self) -> Checked<String> {
        let group = self.alice.create_group("the group", &["bob", "carol"]).await?;
        Ok(group.conversation_id)
    }
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
