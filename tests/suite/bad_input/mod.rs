//! Bad input: each kind of it gets its coded error, and harms nobody else. One
//! process per test, a pair of healthy clients that must not notice anything,
//! and a log in which strangers' mistakes are no alarm.

mod connections;
mod fields;
mod idempotency;
mod neighbours;
mod pages;
mod people;
mod realtime;
mod stream_calls;
mod streams;
mod texts;
mod tokens;
mod vanishing;
mod wire;

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::method::RpcRequest;
use confab_tests::harness::{Checked, Node, NodeOptions, Tokens, Violation};
use prost::bytes::Bytes;

use self::neighbours::Neighbours;
use crate::{
    promises::program,
    raw::{Raw, Refused, reason_name},
};

/// The tenant of everyone here.
const TENANT: &str = "acme";

/// A node, two people who chat on it, and mallory.
struct Place {
    node: Node,
    neighbours: Neighbours,
    tokens: Tokens,
    /// The public port, without a token.
    nobody: Raw,
    /// The public port, as mallory.
    raw: Raw,
    /// Mallory behaving well.
    mallory: Client,
    /// Mallory's own group, with walter and peggy.
    group: String,
}

impl Place {
    async fn new() -> Checked<Self> {
        Self::with(program(None)).await
    }

    async fn with(options: NodeOptions) -> Checked<Self> {
        let node = Node::start(options).await?;
        let neighbours = Neighbours::meet(&node).await?;
        let tokens = node.tokens()?;
        let nobody = Raw::connect(node.uri()).await?;
        let raw = nobody.token(&tokens.user(TENANT, "mallory"));
        let mallory = node.client(TENANT, "mallory").await?;
        let group = mallory.create_group("own", &["walter", "peggy"]).await?.conversation_id;
        Ok(Self { node, neighbours, tokens, nobody, raw, mallory, group })
    }

    /// The port as another user.
    fn raw_as(&self, user: &str) -> Raw {
        self.nobody.token(&self.tokens.user(TENANT, user))
    }

    /// Makes a call that must be refused so, with exactly these fields wrong.
    async fn refuses<R: RpcRequest + std::fmt::Debug>(
        &self,
        request: &R,
        reason: Reason,
        fields: &[&str],
    ) -> Checked {
        let outcome = self.raw.unary(request).await?;
        is_refused(&format!("{} {request:?}", R::METHOD.path), outcome, reason, fields).map(drop)
    }

    /// Makes a call that must be answered.
    async fn answers<R: RpcRequest + std::fmt::Debug>(&self, request: &R) -> Checked<Bytes> {
        let outcome = self.raw.unary(request).await?;
        outcome.map_err(|refused| {
            Violation::broken(format!("{} {request:?}: {refused:?}", R::METHOD.path))
        })
    }

    /// Nobody else has noticed anything, and the log is calm.
    async fn unharmed(mut self) -> Checked {
        self.neighbours.are_well().await?;
        self.neighbours.part().await;
        self.node.finish()
    }
}

/// The refusal, if it is the right one.
fn is_refused(
    what: &str,
    outcome: Result<Bytes, Refused>,
    reason: Reason,
    fields: &[&str],
) -> Checked<Refused> {
    let what: String = what.chars().take(300).collect();
    let Err(refused) = outcome else {
        return Err(Violation::broken(format!("not refused: {what}")));
    };
    let right = refused.reason == reason_name(reason) && refused.fields == fields;
    Violation::unless(right, || format!("{what}: {refused:?} instead of {reason:?} {fields:?}"))?;
    Ok(refused)
}

/// Runs a check to its end.
fn passes(checked: Checked) {
    checked.unwrap_or_else(|violation| panic!("{violation}"));
}
