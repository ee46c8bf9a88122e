//! The statements on the tables, prepared once.

use confab_store::{
    StoreError,
    cql::{Conditional, Cql, Read, Write},
};

/// See each text.
pub(super) struct Statements {
    pub(super) member: Read,
    pub(super) members_after: Read,
    pub(super) put_member: Write,
    pub(super) head: Read,
    pub(super) add_head: Conditional,
    pub(super) raise_head: Conditional,
    pub(super) value: Read,
    pub(super) values_between: Read,
    pub(super) newest_events: Read,
    pub(super) entries: Read,
    pub(super) places_after: Read,
    pub(super) put_value: Write,
    pub(super) remove_value: Write,
    pub(super) profile: Read,
    pub(super) add_profile: Conditional,
    pub(super) change_profile: Conditional,
    pub(super) names_after: Read,
    pub(super) add_name: Write,
    pub(super) report: Read,
    pub(super) add_report: Conditional,
    pub(super) resolve_report: Conditional,
    pub(super) reports_after: Read,
    pub(super) add_report_time: Write,
    pub(super) remove_report_time: Write,
    pub(super) actions_before: Read,
    pub(super) add_action: Write,
}

const MEMBERS: &str = "FROM keyspace.participants_members WHERE tenant = ? AND conversation = ?";
const INBOX: &str = "keyspace.participants_inboxes WHERE tenant = ? AND user = ?";

impl Statements {
    #[expect(clippy::too_many_lines, reason = "a list: one statement after the other")]
    pub(super) async fn prepare(cql: &Cql) -> Result<Self, StoreError> {
        Ok(Self {
            member: cql.read(&format!("SELECT row {MEMBERS} AND user = ?")).await?,
            members_after: cql
                .read(&format!("SELECT user, row {MEMBERS} AND user > ? LIMIT ?"))
                .await?,
            put_member: cql
                .write(
                    "INSERT INTO keyspace.participants_members (tenant, conversation, user, row) \
                     VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            head: cql
                .read(&format!("SELECT head FROM {INBOX} AND kind = 0 AND place = 0x00"))
                .await?,
            add_head: cql
                .conditional(
                    "INSERT INTO keyspace.participants_inboxes (tenant, user, kind, place, head) \
                     VALUES (?, ?, 0, 0x00, ?) IF NOT EXISTS",
                )
                .await?,
            raise_head: cql
                .conditional(
                    "UPDATE keyspace.participants_inboxes SET head = ? \
                     WHERE tenant = ? AND user = ? AND kind = 0 AND place = 0x00 IF head = ?",
                )
                .await?,
            value: cql
                .read(&format!("SELECT value FROM {INBOX} AND kind = ? AND place = ?"))
                .await?,
            values_between: cql
                .read(&format!(
                    "SELECT value FROM {INBOX} AND kind = ? AND place > ? AND place <= ? LIMIT ?"
                ))
                .await?,
            newest_events: cql
                .read(&format!(
                    "SELECT value FROM {INBOX} AND kind = 2 ORDER BY kind DESC, place DESC LIMIT ?"
                ))
                .await?,
            // The head comes first: what the entries have, it may only be below.
            entries: cql
                .read(&format!(
                    "SELECT kind, place, value, head FROM {INBOX} AND kind >= 0 AND kind <= 1"
                ))
                .await?,
            places_after: cql
                .read(&format!(
                    "SELECT place, value FROM {INBOX} AND kind = ? AND place > ? LIMIT ?"
                ))
                .await?,
            put_value: cql
                .write(
                    "INSERT INTO keyspace.participants_inboxes (tenant, user, kind, place, value) \
                     VALUES (?, ?, ?, ?, ?)",
                )
                .await?,
            remove_value: cql
                .write(&format!("DELETE FROM {INBOX} AND kind = ? AND place = ?"))
                .await?,
            profile: cql
                .read(
                    "SELECT profile, version FROM keyspace.participants_profiles \
                     WHERE tenant = ? AND user = ?",
                )
                .await?,
            add_profile: cql
                .conditional(
                    "INSERT INTO keyspace.participants_profiles (tenant, user, profile, version) \
                     VALUES (?, ?, ?, 1) IF NOT EXISTS",
                )
                .await?,
            change_profile: cql
                .conditional(
                    "UPDATE keyspace.participants_profiles SET profile = ?, version = ? \
                     WHERE tenant = ? AND user = ? IF version = ?",
                )
                .await?,
            names_after: cql
                .read(
                    "SELECT user FROM keyspace.participants_profile_names \
                     WHERE tenant = ? AND shard = ? AND user > ? LIMIT ?",
                )
                .await?,
            add_name: cql
                .write(
                    "INSERT INTO keyspace.participants_profile_names (tenant, shard, user) \
                     VALUES (?, ?, ?)",
                )
                .await?,
            report: cql
                .read("SELECT value FROM keyspace.participants_reports WHERE tenant = ? AND report = ?")
                .await?,
            add_report: cql
                .conditional(
                    "INSERT INTO keyspace.participants_reports (tenant, report, value, resolved) \
                     VALUES (?, ?, ?, 0) IF NOT EXISTS",
                )
                .await?,
            resolve_report: cql
                .conditional(
                    "UPDATE keyspace.participants_reports SET value = ?, resolved = 1 \
                     WHERE tenant = ? AND report = ? IF resolved = 0",
                )
                .await?,
            reports_after: cql
                .read(
                    "SELECT time, report FROM keyspace.participants_report_times \
                     WHERE tenant = ? AND resolved = ? AND (time, report) > (?, ?) LIMIT ?",
                )
                .await?,
            add_report_time: cql
                .write(
                    "INSERT INTO keyspace.participants_report_times (tenant, resolved, time, report) \
                     VALUES (?, ?, ?, ?)",
                )
                .await?,
            remove_report_time: cql
                .write(
                    "DELETE FROM keyspace.participants_report_times \
                     WHERE tenant = ? AND resolved = ? AND time = ? AND report = ?",
                )
                .await?,
            actions_before: cql
                .read(
                    "SELECT seq, nth, action FROM keyspace.participants_actions \
                     WHERE tenant = ? AND conversation = ? AND (seq, nth) < (?, ?) LIMIT ?",
                )
                .await?,
            add_action: cql
                .write(
                    "INSERT INTO keyspace.participants_actions (tenant, conversation, seq, nth, action) \
                     VALUES (?, ?, ?, ?, ?)",
                )
                .await?,
        })
    }
}
