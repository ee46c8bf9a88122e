//! Limits of one address, before anybody has proven anything. The node's
//! clients here come from two addresses of this machine.

use std::{io::Read as _, net::IpAddr};

use confab_client::{Client, ClientOptions};
use confab_kit::error::Reason;
use confab_proto::conversations::v1::ListConversationsRequest;
use confab_tests::harness::{Checked, Node, Violation, eventually, skipped};
use prost::bytes::Bytes;
use tokio::net::{TcpSocket, TcpStream};

use super::{caught, passes};
use crate::{
    promises::program,
    raw::{PATIENCE, Raw, Refused, encoded, reason_name},
};

const TEST: &str = "identity::addresses::bad_tokens_end_the_tries_of_their_address_alone";
const LIST: &str = "/confab.conversations.v1.ConversationsService/ListConversations";
const TRIES: usize = 5;
const OPEN: usize = 12;

/// Another address of this machine.
fn elsewhere() -> IpAddr {
    IpAddr::from([127, 0, 0, 2])
}

async fn list(raw: &Raw, token: &str) -> Checked<Result<Bytes, Refused>> {
    raw.token(token).bytes(LIST, &encoded(&ListConversationsRequest::default())).await
}

async fn refuses(raw: &Raw, token: &str, reason: Reason) -> Checked<Refused> {
    match list(raw, token).await? {
        Err(refused) if refused.reason == reason_name(reason) => Ok(refused),
        other => Err(Violation::broken(format!("{reason:?} was due, and this came: {other:?}"))),
    }
}

async fn check_tokens(mutant: Option<&str>) -> Checked {
    let options = program(mutant)
        .env("CONFAB_LIMITS__FAILED_AUTH_PER_ADDRESS_PER_MINUTE", &TRIES.to_string());
    let node = Node::start(options).await?;
    let tokens = node.tokens()?;
    let (here, there) =
        (Raw::connect(node.uri()).await?, Raw::connect_from(node.uri(), elsewhere()).await?);
    let proven = tokens.user("acme", "alice");
    list(&here, &proven).await?.map_err(|refused| Violation::broken(format!("{refused:?}")))?;
    for number in 0..TRIES {
        refuses(&here, &format!("guess-{number}"), Reason::InvalidToken).await?;
    }
    let refused = refuses(&here, "one-guess-more", Reason::RateLimited).await?;
    let class = refused.metadata.get("class").map(String::as_str);
    Violation::unless(class == Some("failed_auth") && refused.retry, || format!("{refused:?}"))?;
    // Who is known already goes on, and so does everybody who comes from elsewhere.
    let fresh = tokens.user("acme", "bob");
    refuses(&here, &fresh, Reason::RateLimited).await?;
    for (raw, token) in [(&here, &proven), (&there, &fresh), (&here, &fresh)] {
        let answer = list(raw, token).await?;
        answer.map_err(|refused| Violation::broken(format!("a good token: {refused:?}")))?;
    }
    node.finish()
}

/// A connection from there, if the node keeps it: it says nothing before we do.
async fn connect(node: &Node, from: IpAddr) -> Checked<TcpStream> {
    let socket = TcpSocket::new_v4().map_err(Violation::unable)?;
    socket.bind((from, 0).into()).map_err(Violation::unable)?;
    socket.connect(node.public()).await.map_err(Violation::unable)
}

/// Whether the other side has hung up.
fn is_closed(stream: TcpStream) -> Checked<(bool, TcpStream)> {
    let mut stream = stream.into_std().map_err(Violation::unable)?;
    let closed = match stream.read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    Ok((closed, TcpStream::from_std(stream).map_err(Violation::unable)?))
}

async fn check_connections(mutant: Option<&str>) -> Checked {
    let options = program(mutant).env("CONFAB_LIMITS__CONNECTIONS_PER_ADDRESS", &OPEN.to_string());
    let node = Node::start(options).await?;
    let mut open = Vec::new();
    for _ in 0..OPEN + 3 {
        open.push(Some(connect(&node, elsewhere()).await?));
    }
    // The last three are closed; the others stay. A mutant closes none, and is not
    // waited for as long as a busy machine.
    let patience = if mutant.is_some() { PATIENCE / 10 } else { PATIENCE };
    eventually(patience, "three connections too many are closed", || {
        let mut closed = 0;
        let mut look = || -> Checked<Option<()>> {
            for place in &mut open {
                let Some(stream) = place.take() else { continue };
                let (is_closed, stream) = is_closed(stream)?;
                closed += usize::from(is_closed);
                *place = Some(stream);
            }
            Violation::unless(closed <= 3, || format!("{closed} connections are closed"))?;
            Ok((closed == 3).then_some(()))
        };
        let looked = look();
        async move { looked }
    })
    .await?;
    let options = ClientOptions::new(node.uri()).token(node.tokens()?.user("acme", "alice"));
    Client::connect(options).await?.create_group("from here", &[]).await?;
    node.finish()
}

/// Whether this machine has a second address to come from.
fn has_two_addresses() -> bool {
    let bound = std::net::TcpListener::bind((elsewhere(), 0));
    if bound.is_err() {
        skipped(TEST, "this machine has no address 127.0.0.2");
    }
    bound.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_end_the_tries_of_their_address_alone() {
    if has_two_addresses() {
        passes(Box::pin(check_tokens(None))).await;
        caught("no-address-limit", Box::pin(check_tokens(Some("no-address-limit")))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_and_others_have_theirs() {
    if has_two_addresses() {
        passes(Box::pin(check_connections(None))).await;
        caught("no-address-limit", Box::pin(check_connections(Some("no-address-limit")))).await;
    }
}
