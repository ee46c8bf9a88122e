//! Reports and the record of moderation on the embedded engine.

use std::ops::Bound;

use confab_log::{ConversationId, Micros, TenantId};
use confab_store::{
    StoreError,
    embedded::{Direction, Transaction},
};

use super::{EmbeddedStore, Spaces, format};
use crate::{
    domain::{Action, ActionPlace, Effects, Report, ReportId, Resolution},
    store::ModerationStore,
};

/// Keeps what an event says of moderation. Told again, it is the same.
pub(super) fn record(
    spaces: &Spaces,
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    conversation: &ConversationId,
    effects: Effects,
) -> Result<(), StoreError> {
    for (action, nth) in effects.moderation.iter().zip(0..) {
        let key = format::action_key(tenant, conversation, (effects.seq, nth));
        transaction.put(&spaces.actions, key, format::encode(action));
    }
    for report in effects.reports {
        let (message, rule) = (report.message, report.comment.as_str());
        let id = ReportId::of(tenant, conversation, message, report.reporter.as_ref(), rule);
        keep(spaces, transaction, tenant, id, &report)?;
    }
    Ok(())
}

fn keep(
    spaces: &Spaces,
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    id: ReportId,
    report: &Report,
) -> Result<(), StoreError> {
    let key = format::report_key(tenant, id);
    if transaction.get(&spaces.reports, &key)?.is_none() {
        transaction.put(&spaces.reports, key, format::encode(report));
        let place = format::report_place(tenant, report.time, id);
        transaction.put(&spaces.open_reports, place, Vec::new());
    }
    Ok(())
}

impl ModerationStore for EmbeddedStore {
    async fn report(
        &self,
        tenant: &TenantId,
        id: ReportId,
        report: Report,
    ) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        self.transact(move |spaces, transaction| keep(spaces, transaction, &tenant, id, &report))
            .await
    }

    async fn list_reports(
        &self,
        tenant: &TenantId,
        resolved: bool,
        after: Option<(Micros, ReportId)>,
        limit: usize,
    ) -> Result<Vec<(ReportId, Report)>, StoreError> {
        let index =
            if resolved { &self.spaces.resolved_reports } else { &self.spaces.open_reports };
        let prefix = format::tenant_key(tenant);
        let from = match after {
            Some((time, id)) => Bound::Excluded(format::report_place(tenant, time, id)),
            None => Bound::Included(prefix.clone()),
        };
        let to = Bound::Excluded(format::after_tenant(tenant));
        let snapshot = self.engine.snapshot();
        let mut reports = Vec::new();
        for (place, _) in snapshot.range(index, (from, to), Direction::Forward, limit)? {
            let id = format::report_of(&place)?;
            if let Some(value) =
                snapshot.get(&self.spaces.reports, format::report_key(tenant, id))?
            {
                reports.push((id, format::decode(&value)?));
            }
        }
        Ok(reports)
    }

    async fn resolve(
        &self,
        tenant: &TenantId,
        id: ReportId,
        resolution: Resolution,
    ) -> Result<Option<Report>, StoreError> {
        let tenant = tenant.clone();
        self.transact(move |spaces, transaction| {
            let key = format::report_key(&tenant, id);
            let Some(value) = transaction.get(&spaces.reports, &key)? else { return Ok(None) };
            let mut report: Report = format::decode(&value)?;
            if report.resolution.is_none() {
                report.content = None;
                report.resolution = Some(resolution);
                transaction.put(&spaces.reports, key, format::encode(&report));
                let place = format::report_place(&tenant, report.time, id);
                transaction.remove(&spaces.open_reports, &place);
                transaction.put(&spaces.resolved_reports, place, Vec::new());
            }
            Ok(Some(report))
        })
        .await
    }

    async fn list_actions(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        before: Option<ActionPlace>,
        limit: usize,
    ) -> Result<Vec<(ActionPlace, Action)>, StoreError> {
        let first = Bound::Included(format::action_key(tenant, conversation, (0, 0)));
        let end = match before {
            Some(place) => Bound::Excluded(format::action_key(tenant, conversation, place)),
            None => Bound::Included(format::action_key(tenant, conversation, (u64::MAX, u32::MAX))),
        };
        let rows = self.spaces.actions.range((first, end), Direction::Backward, limit)?;
        let actions = rows
            .iter()
            .map(|(key, value)| Ok((format::place_of_action(key)?, format::decode(value)?)));
        actions.collect()
    }
}
