//! The log, settled.

use confab_log::{Effects, Event, Micros, Row, RowKey, Seq, TenantId, UserId};
use confab_messages::store::{
    AppendBounds, Cursors, Direction, LogEnd, LogKey, LogStore, Replaced, Rule, RuleStore,
    StoreResult, StoredRules,
};
use confab_store::StoreError;

use super::{Settled, settled};

impl<S: LogStore> LogStore for Settled<S> {
    async fn end(&self, key: &LogKey) -> StoreResult<Option<LogEnd>> {
        Ok(settled!(self.store.end(key))?.0)
    }

    async fn head_from(&self, key: &LogKey, known: Seq) -> StoreResult<Seq> {
        Ok(settled!(self.store.head_from(key, known))?.0)
    }

    async fn read(
        &self,
        key: &LogKey,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        Ok(settled!(self.store.read(key, from, to, direction, limit))?.0)
    }

    fn append_bounds(&self) -> AppendBounds {
        self.store.append_bounds()
    }

    /// If it was not applied, perhaps an earlier try was.
    async fn append(&self, key: &LogKey, events: Vec<Event>, hour: u64) -> StoreResult<bool> {
        let (appended, first) = settled!(self.store.append(key, events.clone(), hour))?;
        if appended || first {
            return Ok(appended);
        }
        let seq = events[0].seq;
        let row = self.read(key, seq, seq, Direction::OldestFirst, 1).await?;
        Ok(row.first() == Some(&events[0]))
    }

    async fn load(&self, key: &LogKey, keys: &[RowKey]) -> StoreResult<Vec<(RowKey, Option<Row>)>> {
        Ok(settled!(self.store.load(key, keys))?.0)
    }

    async fn apply(&self, key: &LogKey, event: &Event, effects: &Effects) -> StoreResult<()> {
        settled!(self.store.apply(key, event, effects)).map(|((), _)| ())
    }

    async fn raise(&self, key: &LogKey, through: Seq) -> StoreResult<()> {
        settled!(self.store.raise(key, through)).map(|((), _)| ())
    }

    async fn cursors(&self, key: &LogKey, user: &UserId) -> StoreResult<Cursors> {
        Ok(settled!(self.store.cursors(key, user))?.0)
    }

    async fn raise_cursors(
        &self,
        key: &LogKey,
        user: &UserId,
        to: Cursors,
    ) -> StoreResult<(Cursors, Cursors)> {
        let before = self.cursors(key, user).await?;
        let ((_, after), _) = settled!(self.store.raise_cursors(key, user, to))?;
        Ok((before, after))
    }

    async fn list_cursors(
        &self,
        key: &LogKey,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Cursors)>> {
        Ok(settled!(self.store.list_cursors(key, after, limit))?.0)
    }

    async fn list_reactions(
        &self,
        key: &LogKey,
        message: Seq,
        after: Option<&UserId>,
        limit: usize,
    ) -> StoreResult<Vec<(UserId, Vec<String>)>> {
        Ok(settled!(self.store.list_reactions(key, message, after, limit))?.0)
    }

    async fn list_thread(
        &self,
        key: &LogKey,
        root: Seq,
        from: Seq,
        to: Seq,
        direction: Direction,
        limit: usize,
    ) -> StoreResult<Vec<Seq>> {
        Ok(settled!(self.store.list_thread(key, root, from, to, direction, limit))?.0)
    }

    async fn list_mentions(
        &self,
        key: &LogKey,
        user: &UserId,
        after: Seq,
        limit: usize,
    ) -> StoreResult<Vec<Seq>> {
        Ok(settled!(self.store.list_mentions(key, user, after, limit))?.0)
    }

    async fn marks(
        &self,
        after: Option<(u64, LogKey)>,
        limit: usize,
    ) -> StoreResult<Vec<(u64, LogKey)>> {
        Ok(settled!(self.store.marks(after.clone(), limit))?.0)
    }

    /// Only of an hour that is over: no mark of it is still on its way.
    async fn clear_mark(&self, hour: u64, key: &LogKey) -> StoreResult<()> {
        self.faults.release_late().await;
        settled!(self.store.clear_mark(hour, key)).map(|((), _)| ())
    }
}

impl<S: RuleStore> RuleStore for Settled<S> {
    async fn rules(&self, tenant: &TenantId) -> StoreResult<Option<StoredRules>> {
        Ok(settled!(self.store.rules(tenant))?.0)
    }

    /// If it was not stored, perhaps an earlier try was; asked for again without a
    /// version, it would be stored again.
    async fn replace_rules(
        &self,
        tenant: &TenantId,
        version: Option<u64>,
        rules: Vec<Rule>,
        time: Micros,
    ) -> StoreResult<Replaced> {
        loop {
            match self.store.replace_rules(tenant, version, rules.clone(), time).await {
                Err(StoreError::Unavailable { .. }) => {}
                Err(StoreError::OutcomeUnknown { .. }) => {
                    self.faults.release_late().await;
                    let stored = self.rules(tenant).await?;
                    let stored = stored.filter(|one| one.time == time && one.rules == rules);
                    if let Some(stored) = stored {
                        return Ok(Replaced::Stored(stored));
                    }
                }
                settled => return settled,
            }
        }
    }
}
