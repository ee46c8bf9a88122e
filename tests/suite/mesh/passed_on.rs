//! Streams that one process passes on to another: many that end, beside one that goes on.

use confab_kit::role::Role;
use confab_proto::realtime::v1::connect_response::Frame;
use confab_tests::harness::{Checked, Deployment, Shape, Violation, within};
use tonic::Code;

use crate::{
    promises::{WHOLE, program},
    raw::{Connection, Windows, hello},
};

/// h2 takes a hundred frames of nothing on one connection for an attack: each of these
/// clients says with one that it has said everything.
const STREAMS: usize = 150;

async fn run() -> Checked {
    let confab = Deployment::start(Shape::Mesh, program(None)).await?;
    let alice = confab.client("acme", "alice").await?;
    let id = alice.create_group("passed on", &["bob"]).await?.conversation_id;
    let entry = confab.of(Role::Conversations).public();
    let token = confab.tokens()?.user("acme", "bob");
    let own = Connection::open(entry, &token, Windows::USUAL).await?;
    let mut lasting = own.watch(hello(&[&id])).await?;
    for _ in 0..STREAMS {
        let connection = Connection::open(entry, &token, Windows::USUAL).await?;
        let mut ending = connection.watch(hello(&[])).await?;
        ending.half_close()?;
        let (_, status) = ending.ending().await?;
        let code = status.map(|status| status.code());
        Violation::unless(code == Some(Code::Ok), || format!("a stream ends with {code:?}"))?;
    }
    let sent = alice.send(&id, "still here").await?.seq;
    let event = |frame| matches!(frame, Frame::Event(event) if event.seq == sent).then_some(());
    lasting.until(event).await?;
    confab.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_end_leave_others_alone() -> Checked {
    within(WHOLE, "streams that end", Box::pin(run())).await?
}
