//! Reports and the record of moderation.

use confab_log::{ConversationId, Micros, TenantId};
use confab_store::{StoreError, cql::Batch};
use futures_util::future::try_join_all;

use super::{CqlStore, id_bytes, number, rows_at_most, text, unsigned, value};
use crate::{
    domain::{Action, ActionPlace, Effects, Report, ReportId, Resolution},
    store::ModerationStore,
};

const OPEN: i32 = 0;
const RESOLVED: i32 = 1;

impl CqlStore {
    /// Keeps what an event says of moderation. Told again, it is the same.
    pub(super) async fn record(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        effects: &Effects,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (action, nth) in effects.moderation.iter().zip(0_i64..) {
            let (seq, bytes) = (number(effects.seq), value::encode(action));
            let values = (text(tenant), id_bytes(conversation), seq, nth, bytes);
            batch.write(&self.statements.add_action, values);
        }
        self.cql.write_together(batch).await?;
        for report in &effects.reports {
            let (message, rule) = (report.message, report.comment.as_str());
            let id = ReportId::of(tenant, conversation, message, report.reporter.as_ref(), rule);
            self.report(tenant, id, report.clone()).await?;
        }
        Ok(())
    }

    async fn stored_report(
        &self,
        tenant: &TenantId,
        id: ReportId,
    ) -> Result<Option<Report>, StoreError> {
        let values = (text(tenant), id.0.to_vec());
        let row: Option<(Vec<u8>,)> = self.statements.report.first(values).await?;
        row.map(|(report,)| value::decode(&report)).transpose()
    }
}

impl ModerationStore for CqlStore {
    async fn report(
        &self,
        tenant: &TenantId,
        id: ReportId,
        report: Report,
    ) -> Result<(), StoreError> {
        if self.stored_report(tenant, id).await?.is_some() {
            return Ok(());
        }
        // Its place first: a report that nobody finds is none. A place without an
        // open report is passed over.
        let (tenant, bytes) = (text(tenant), id.0.to_vec());
        self.statements.add_report_time.run((&tenant, OPEN, report.time, &bytes)).await?;
        let values = (tenant, bytes, value::encode(&report));
        // Not applied: somebody else has kept it.
        self.statements.add_report.run(values).await.map(drop)
    }

    async fn list_reports(
        &self,
        tenant: &TenantId,
        resolved: bool,
        after: Option<(Micros, ReportId)>,
        limit: usize,
    ) -> Result<Vec<(ReportId, Report)>, StoreError> {
        let state = if resolved { RESOLVED } else { OPEN };
        let mut after = after.map_or((i64::MIN, Vec::new()), |(time, id)| (time, id.0.to_vec()));
        let mut found = Vec::new();
        while found.len() < limit {
            let values = (text(tenant), state, after.0, &after.1, rows_at_most(limit));
            let places: Vec<(i64, Vec<u8>)> = self.statements.reports_after.rows(values).await?;
            let Some(last) = places.last() else { break };
            after = last.clone();
            let ids = places.iter().map(|(_, id)| id.as_slice().try_into().map(ReportId));
            let ids: Vec<_> = ids
                .collect::<Result<_, _>>()
                .map_err(|_| StoreError::corrupt("a report's place names no report"))?;
            let reports = try_join_all(ids.iter().map(|id| self.stored_report(tenant, *id)));
            for ((id, (time, _)), report) in ids.iter().zip(&places).zip(reports.await?) {
                // The same report may have been made at two times: one of them counts.
                let counts = |report: &Report| {
                    report.time == *time && report.resolution.is_some() == resolved
                };
                found.extend(report.filter(counts).map(|report| (*id, report)));
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn resolve(
        &self,
        tenant: &TenantId,
        id: ReportId,
        resolution: Resolution,
    ) -> Result<Option<Report>, StoreError> {
        loop {
            let Some(mut report) = self.stored_report(tenant, id).await? else { return Ok(None) };
            if report.resolution.is_some() {
                return Ok(Some(report));
            }
            report.content = None;
            report.resolution = Some(resolution.clone());
            let (tenant, bytes, time) = (text(tenant), id.0.to_vec(), report.time);
            self.statements.add_report_time.run((&tenant, RESOLVED, time, &bytes)).await?;
            let values = (value::encode(&report), &tenant, &bytes);
            if self.statements.resolve_report.run(values).await? {
                self.statements.remove_report_time.run((tenant, OPEN, time, bytes)).await?;
                return Ok(Some(report));
            }
        }
    }

    async fn list_actions(
        &self,
        tenant: &TenantId,
        conversation: &ConversationId,
        before: Option<ActionPlace>,
        limit: usize,
    ) -> Result<Vec<(ActionPlace, Action)>, StoreError> {
        let (seq, nth) = before.map_or((i64::MAX, 0), |(seq, nth)| (number(seq), i64::from(nth)));
        let values = (text(tenant), id_bytes(conversation), seq, nth, rows_at_most(limit));
        let rows: Vec<(i64, i64, Vec<u8>)> = self.statements.actions_before.rows(values).await?;
        let actions = rows.iter().map(|(seq, nth, action)| {
            let nth = u32::try_from(*nth).map_err(|_| StoreError::corrupt("an action's place"))?;
            Ok(((unsigned(*seq)?, nth), value::decode(action)?))
        });
        actions.collect()
    }
}
