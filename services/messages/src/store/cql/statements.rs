//! The statements on the tables, prepared once.

use confab_store::cql::{Conditional, Cql, Read, Write};

use super::StoreResult;

/// See each text.
pub(super) struct Statements {
    pub(super) head: Read,
    pub(super) add_head: Conditional,
    pub(super) raise_newest: Conditional,
    pub(super) raise_applied: Conditional,
    pub(super) last_row: Read,
    pub(super) row: Read,
    pub(super) rows_up: Read,
    pub(super) rows_down: Read,
    pub(super) append_first: Conditional,
    pub(super) append_more: Write,
    pub(super) change_row: Conditional,
    pub(super) reactions: Read,
    pub(super) reactions_after: Read,
    pub(super) put_reactions: Write,
    pub(super) cursors: Read,
    pub(super) cursors_after: Read,
    pub(super) raise_read: Write,
    pub(super) raise_delivered: Write,
    pub(super) thread_up: Read,
    pub(super) thread_down: Read,
    pub(super) add_thread: Write,
    pub(super) mentions: Read,
    pub(super) add_mention: Write,
    pub(super) marks: Read,
    pub(super) marks_after: Read,
    pub(super) add_mark: Write,
    pub(super) remove_mark: Write,
    pub(super) hours: Read,
    pub(super) add_hour: Write,
    pub(super) remove_hour: Write,
    pub(super) rules: Read,
    pub(super) add_rules: Conditional,
    pub(super) change_rules: Conditional,
    pub(super) setting: Read,
    pub(super) add_setting: Conditional,
}

const LOG: &str = "FROM keyspace.messages_log WHERE tenant = ? AND conversation = ? AND bucket = ?";
const APPEND: &str = "INSERT INTO keyspace.messages_log \
    (tenant, conversation, bucket, seq, event, applied_seq) VALUES (?, ?, ?, ?, ?, ?)";
const HEAD: &str = "WHERE tenant = ? AND conversation = ?";
const THREAD: &str = "SELECT message FROM keyspace.messages_threads \
    WHERE tenant = ? AND conversation = ? AND root = ? AND message >= ? AND message <= ?";
const MARKS: &str =
    "SELECT tenant, conversation FROM keyspace.messages_marks WHERE hour = ? AND shard = ?";

impl Statements {
    #[expect(clippy::too_many_lines, reason = "a list: one statement after the other")]
    pub(super) async fn prepare(cql: &Cql) -> StoreResult<Self> {
        // Nothing but receipts.
        let relaxed = cql.relaxed();
        Ok(Self {
            head: cql
                .read(&format!("SELECT newest_bucket, applied_through FROM keyspace.messages_heads {HEAD}"))
                .await?,
            add_head: cql
                .conditional(
                    "INSERT INTO keyspace.messages_heads \
                     (tenant, conversation, newest_bucket, applied_through) \
                     VALUES (?, ?, 0, 0) IF NOT EXISTS",
                )
                .await?,
            raise_newest: cql
                .conditional(&format!(
                    "UPDATE keyspace.messages_heads SET newest_bucket = ? {HEAD} IF newest_bucket < ?"
                ))
                .await?,
            raise_applied: cql
                .conditional(&format!(
                    "UPDATE keyspace.messages_heads SET applied_through = ? {HEAD} IF applied_through < ?"
                ))
                .await?,
            last_row: cql.read(&format!("SELECT event {LOG} ORDER BY seq DESC LIMIT 1")).await?,
            row: cql.read(&format!("SELECT event, applied_seq {LOG} AND seq = ?")).await?,
            rows_up: cql
                .read(&format!(
                    "SELECT event {LOG} AND seq >= ? AND seq <= ? ORDER BY seq ASC LIMIT ?"
                ))
                .await?,
            rows_down: cql
                .read(&format!(
                    "SELECT event {LOG} AND seq >= ? AND seq <= ? ORDER BY seq DESC LIMIT ?"
                ))
                .await?,
            append_first: cql.conditional(&format!("{APPEND} IF NOT EXISTS")).await?,
            append_more: cql.write(APPEND).await?,
            change_row: cql
                .conditional(
                    "UPDATE keyspace.messages_log SET event = ?, applied_seq = ? \
                     WHERE tenant = ? AND conversation = ? AND bucket = ? AND seq = ? \
                     IF applied_seq < ?",
                )
                .await?,
            reactions: cql
                .read(
                    "SELECT reactions FROM keyspace.messages_reactions \
                     WHERE tenant = ? AND conversation = ? AND message = ? AND user = ?",
                )
                .await?,
            reactions_after: cql
                .read(
                    "SELECT user, reactions FROM keyspace.messages_reactions \
                     WHERE tenant = ? AND conversation = ? AND message = ? AND user > ? LIMIT ?",
                )
                .await?,
            put_reactions: cql
                .write(
                    "INSERT INTO keyspace.messages_reactions \
                     (tenant, conversation, message, user, reactions) \
                     VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            cursors: relaxed
                .read(&format!(
                    "SELECT read_seq, read_ordinal, delivered_seq FROM keyspace.messages_cursors \
                     {HEAD} AND user = ?"
                ))
                .await?,
            cursors_after: relaxed
                .read(&format!(
                    "SELECT user, read_seq, read_ordinal, delivered_seq FROM keyspace.messages_cursors \
                     {HEAD} AND user > ? LIMIT ?"
                ))
                .await?,
            raise_read: relaxed
                .write(&format!(
                    "UPDATE keyspace.messages_cursors USING TIMESTAMP ? SET read_seq = ?, read_ordinal = ? \
                     {HEAD} AND user = ?"
                ))
                .await?,
            raise_delivered: relaxed
                .write(&format!(
                    "UPDATE keyspace.messages_cursors USING TIMESTAMP ? SET delivered_seq = ? \
                     {HEAD} AND user = ?"
                ))
                .await?,
            thread_up: cql.read(&format!("{THREAD} ORDER BY message ASC LIMIT ?")).await?,
            thread_down: cql.read(&format!("{THREAD} ORDER BY message DESC LIMIT ?")).await?,
            add_thread: cql
                .write(
                    "INSERT INTO keyspace.messages_threads (tenant, conversation, root, message) \
                     VALUES (?, ?, ?, ?)",
                )
                .await?,
            mentions: cql
                .read(
                    "SELECT message FROM keyspace.messages_mentions \
                     WHERE tenant = ? AND conversation = ? AND user = ? AND message > ? LIMIT ?",
                )
                .await?,
            add_mention: cql
                .write(
                    "INSERT INTO keyspace.messages_mentions (tenant, conversation, user, message) \
                     VALUES (?, ?, ?, ?)",
                )
                .await?,
            marks: cql.read(&format!("{MARKS} LIMIT ?")).await?,
            marks_after: cql
                .read(&format!("{MARKS} AND (tenant, conversation) > (?, ?) LIMIT ?"))
                .await?,
            add_mark: cql
                .write(
                    "INSERT INTO keyspace.messages_marks (hour, shard, tenant, conversation) \
                     VALUES (?, ?, ?, ?)",
                )
                .await?,
            remove_mark: cql
                .write(
                    "DELETE FROM keyspace.messages_marks \
                     WHERE hour = ? AND shard = ? AND tenant = ? AND conversation = ?",
                )
                .await?,
            hours: cql
                .read("SELECT hour FROM keyspace.messages_mark_hours WHERE one = 1 AND hour >= ?")
                .await?,
            add_hour: cql
                .write("INSERT INTO keyspace.messages_mark_hours (one, hour) VALUES (1, ?)")
                .await?,
            remove_hour: cql
                .write(
                    "DELETE FROM keyspace.messages_mark_hours USING TIMESTAMP ? WHERE one = 1 AND hour = ?",
                )
                .await?,
            rules: cql.read("SELECT rules FROM keyspace.messages_rules WHERE tenant = ?").await?,
            add_rules: cql
                .conditional(
                    "INSERT INTO keyspace.messages_rules (tenant, version, rules) VALUES (?, ?, ?) \
                     IF NOT EXISTS",
                )
                .await?,
            change_rules: cql
                .conditional(
                    "UPDATE keyspace.messages_rules SET version = ?, rules = ? WHERE tenant = ? \
                     IF version = ?",
                )
                .await?,
            setting: cql.read("SELECT value FROM keyspace.messages_settings WHERE name = ?").await?,
            add_setting: cql
                .conditional(
                    "INSERT INTO keyspace.messages_settings (name, value) VALUES (?, ?) IF NOT EXISTS",
                )
                .await?,
        })
    }
}
