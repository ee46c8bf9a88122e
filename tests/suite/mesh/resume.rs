//! Readers who come back to another process than the one they left, whatever has become
//! of that: they were cut off, it was killed, every process was restarted one after the
//! other, or all were killed at once. One knows its own cursors, and one leaves them to
//! its session.

use std::{collections::BTreeMap, time::Duration};

use confab_client::Client;
use confab_kit::role::Role;
use confab_proto::realtime::v1::AcknowledgeRequest;
use confab_tests::harness::{Checked, Deployment, Node, Shape, Violation, must_be_caught, within};

use crate::promises::{
    WHOLE, among_kills, can_be_clustered, once,
    raw_stream::{Brought, RawStream, Way, from_cursors, from_session},
};

/// For a process to end by itself.
const DRAIN: Duration = Duration::from_secs(20);
/// Messages before and after each leave.
const MESSAGES: usize = 3;
/// That have streams.
const PROCESSES: usize = 2;

/// Why a reader has to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Its connection is gone.
    Cut,
    /// The process that it left was killed, and is not there.
    Killed,
    /// Every process was asked to end, and started again, one after the other.
    OneByOne,
    /// All were killed, and then started.
    Together,
}

/// How a reader comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Cursors,
    Session,
}

/// Somebody with a stream.
struct Reader {
    by: By,
    stream: RawStream,
    session: String,
}

struct Scene {
    confab: Deployment,
    owner: Client,
    id: String,
    /// Of the log.
    head: u64,
    /// At which of the entries the readers are.
    at: usize,
}

impl Scene {
    async fn say(&mut self) -> Checked {
        for _ in 0..MESSAGES {
            self.head = self.owner.send(&self.id, "hello").await?.seq;
        }
        Ok(())
    }

    async fn client(&self, at: usize) -> Checked<Client> {
        let entries = self.confab.entries();
        entries[at % entries.len()].client("dev", "reader").await
    }

    /// Reads to the end of the log. That each event is the next one is the stream's
    /// business.
    async fn read(&self, reader: &mut Reader) -> Checked {
        while reader.stream.cursors.get(&self.id) != Some(&self.head) {
            match reader.stream.next().await? {
                Brought::Event(_) | Brought::Other(_) => {}
                other => return Err(Violation::broken(format!("{:?}: {other:?}", reader.by))),
            }
        }
        Ok(())
    }

    /// Says that all of it is stored; to a process that does not have the stream, so
    /// that it stands in the session when this is answered.
    async fn acknowledge(&self, reader: &Reader) -> Checked {
        let cursors = from_cursors(&reader.stream.cursors).watch;
        let session_id = reader.session.clone();
        let acknowledge = AcknowledgeRequest { session_id, cursors, inbox_seq: None };
        once(&self.client(self.at + 1).await?, acknowledge).await.map(drop).map_err(Into::into)
    }

    async fn open(
        &self,
        by: By,
        cursors: &BTreeMap<String, u64>,
        session: &str,
    ) -> Checked<Reader> {
        let hello = match by {
            By::Session if !session.is_empty() => from_session(session),
            _ => from_cursors(cursors),
        };
        let client = self.client(self.at).await?;
        let stream = RawStream::open(&client, Way::Connect, hello).await?;
        let stream = stream.map_err(|status| Violation::broken(format!("{by:?}: {status}")))?;
        let session = stream.welcome.session_id.clone();
        Ok(Reader { by, stream, session })
    }

    /// Comes back to the other process, with what it has, or has said that it has.
    async fn come_back(&self, reader: Reader) -> Checked<Reader> {
        let Reader { by, stream, session } = reader;
        let cursors = stream.cursors.clone();
        drop(stream);
        let back = self.open(by, &cursors, &session).await?;
        Violation::unless(
            by == By::Cursors || back.session == session,
            || "a session is resumed as another one",
        )?;
        Violation::unless(back.stream.cursors == cursors, || {
            format!("{by:?}: at {:?}, and was at {cursors:?}", back.stream.cursors)
        })?;
        Ok(back)
    }

    /// The process that the readers are at.
    fn own(&mut self) -> &mut Node {
        let own = self.confab.all_of_mut(Role::Realtime).nth(self.at % PROCESSES);
        own.expect("two processes have streams")
    }

    async fn leave(&mut self, left: Left) -> Checked {
        match left {
            Left::Cut => {}
            Left::Killed => self.own().kill9(),
            Left::OneByOne => {
                for node in self.confab.nodes_mut() {
                    node.terminate(DRAIN).await?;
                    node.restart().await?;
                }
                self.confab.meet().await?;
            }
            Left::Together => self.confab.kill_all().await?,
        }
        Ok(())
    }

    /// All read and leave, and come back elsewhere while others have gone on writing.
    async fn round(&mut self, left: Left, readers: Vec<Reader>) -> Checked<Vec<Reader>> {
        self.say().await?;
        let mut ready = Vec::new();
        for mut reader in readers {
            self.read(&mut reader).await?;
            self.acknowledge(&reader).await?;
            ready.push(reader);
        }
        self.leave(left).await?;
        self.say().await?;
        self.at += 1;
        let mut back = Vec::new();
        for reader in ready {
            let mut reader = self.come_back(reader).await?;
            self.read(&mut reader).await?;
            back.push(reader);
        }
        if left == Left::Killed {
            self.at += 1;
            self.own().restart().await?;
            self.at += 1;
            self.confab.meet().await?;
        }
        Ok(back)
    }

    async fn begin(&self, by: By) -> Checked<Vec<Reader>> {
        Ok(vec![self.open(by, &BTreeMap::from([(self.id.clone(), 0)]), "").await?])
    }
}

async fn run() -> Checked {
    let confab = Deployment::start(Shape::Cluster, among_kills(None)).await?;
    let owner = confab.lasting_client("dev", "owner").await?;
    let id = owner.create_group("resume", &["reader"]).await?.conversation_id;
    let mut scene = Scene { confab, owner, id, head: 1, at: 0 };
    let mut readers = scene.begin(By::Cursors).await?;
    readers.extend(scene.begin(By::Session).await?);
    for left in [Left::Cut, Left::Killed, Left::OneByOne, Left::Together] {
        let what = format!("{left:?}");
        readers = within(WHOLE, &what, Box::pin(scene.round(left, readers))).await??;
    }
    drop(readers);
    scene.confab.is_quiet()?;
    for (by, mutant) in [(By::Cursors, "realtime-no-replay"), (By::Session, "acks-not-kept")] {
        scene.confab.mutate(Some(mutant)).await?;
        let readers = scene.begin(by).await;
        let round = async { scene.round(Left::Cut, readers?).await.map(drop) };
        must_be_caught(mutant, within(WHOLE, mutant, Box::pin(round)).await.flatten());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_come_back_to_another_process() -> Checked {
    if can_be_clustered("mesh::resume::readers_come_back_to_another_process").await {
        run().await?;
    }
    Ok(())
}
