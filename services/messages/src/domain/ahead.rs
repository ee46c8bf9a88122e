//! Rows read ahead: while the look at the head is under way that admits their
//! reader. On a store that is a round trip away the two then take the time of one.
//!
//! Nothing of them is shown, nor decided by them, before the look is there. They
//! count only if it finds the very head that this node had folded before the read
//! began: then they hold every event and effect up to the look, as rows do that
//! are read after it. Otherwise they are dropped, and read again.

use std::time::Duration;

use confab_kit::{
    admission::{Admission, Admitted},
    error::Error as KitError,
    identity::Caller,
    random,
};
use confab_log::{ConversationId, Event, Seq, mutant};
use confab_proto::method::RpcRequest;
use tonic::Request;

use super::{
    Domain,
    reads::{first_of, key_of},
    sight::{Sight, Span},
};
use crate::store::LogStore;

/// Rows that were read ahead, perhaps.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Option<Found>);

#[derive(Debug)]
struct Found {
    /// All effects up to here were applied when the read began.
    folded: Seq,
    span: Span,
    rows: Vec<Event>,
}

impl Ahead {
    /// The rows of this span as of this look, if it is these that were read.
    pub(super) fn take(&mut self, span: Span, sight: &Sight) -> Option<Vec<Event>> {
        let found = self.0.take_if(|found| found.span == span)?;
        let proven = found.folded == sight.as_of || mutant::is("ahead-unproven");
        proven.then_some(found.rows)
    }
}

impl<S: LogStore> Domain<S> {
    /// Admits a read, and reads the first of the rows meanwhile. Not while anything is to be
    /// appended here: then the head is about to move.
    pub(crate) async fn admit<T: RpcRequest>(
        &self,
        admission: &Admission,
        request: Request<T>,
        wanted: Option<(ConversationId, Span)>,
    ) -> Result<(Admitted<T>, Ahead), KitError> {
        let caller = request.extensions().get::<Caller>().cloned();
        let look = async {
            if mutant::is("late-looks") {
                // Breaks nothing by itself, but much can happen after the read.
                tokio::time::sleep(random::jitter(Duration::from_millis(80))).await;
            }
            admission.admit(request).await
        };
        let begun = caller.zip(wanted).and_then(|(caller, (conversation, span))| {
            let key = key_of(&caller, &conversation);
            let folded = self.logs.quiet_at(&key)?;
            let span = first_of(Sight::whole(folded).clip(span).first()?);
            Some((key, folded, span))
        });
        let Some((key, folded, span)) = begun else {
            return Ok((look.await?, Ahead::default()));
        };
        let read = async { Ok::<_, KitError>(self.pages.read(&key, span).await) };
        // A refusal waits for nothing.
        let (admitted, rows) = tokio::try_join!(look, read)?;
        // What could not be read is read again, or fails again.
        let found = rows.ok().map(|rows| Found { folded, span, rows });
        Ok((admitted, Ahead(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Direction;

    const PAGE: Span = Span { from: 1, to: 7, direction: Direction::NewestFirst, limit: 50 };

    fn ahead() -> Ahead {
        Ahead(Some(Found { folded: 7, span: PAGE, rows: Vec::new() }))
    }

    #[test]
    fn rows_count_only_for_the_head_that_was_folded_before() {
        assert!(ahead().take(PAGE, &Sight::whole(7)).is_some());
        assert!(ahead().take(PAGE, &Sight::whole(8)).is_none(), "something came in between");
        assert!(Ahead::default().take(PAGE, &Sight::whole(7)).is_none());
    }

    #[test]
    fn rows_count_only_for_the_span_they_are_of_and_once() {
        let mut ahead = ahead();
        let sight = Sight::whole(7);
        assert!(ahead.take(Span { limit: 49, ..PAGE }, &sight).is_none());
        assert!(ahead.take(PAGE, &sight).is_some());
        assert!(ahead.take(PAGE, &sight).is_none(), "whoever looks again reads again");
    }
}
