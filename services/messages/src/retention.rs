//! Retention: conversations that keep their messages for a limited time only.
//!
//! Now and then each of them is looked at, and what is too old or too much is
//! erased by commands of Confab's own, a range of rows after the other. So an
//! expiry is an event like all others: it has its place in the order, every
//! reader folds it, and numbers stay without holes.

use std::time::Duration;

use confab_kit::{channel::Channel, clock, random};
use confab_log::{
    Command, ConversationId, Event, Refusal, RequestId, Seq, TenantId, UserId,
    command::{Authority, MAX_EXPIRED_ROWS},
    event::Retention,
};
use confab_proto::conversations::v1::{
    ListRetainedRequest, RetainedConversation,
    conversation_rows_service_client::ConversationRowsServiceClient,
};
use tokio_util::sync::CancellationToken;

use crate::{
    convert::row::retention_from_pb,
    domain::{Append, Domain},
    error::Error,
    store::{Direction, LogKey, LogStore},
};

/// Who expires messages. No token names such a user.
const ACTOR: &str = "confab:retention";
/// Conversations asked for at a time.
const PAGE: i32 = 256;
const MICROS_PER_SECOND: u64 = 1_000_000;

impl<S: LogStore> Domain<S> {
    /// Expires messages now and again and again, until stopped.
    pub(crate) async fn expire_until(
        &self,
        conversations: Channel,
        every: Duration,
        stopped: CancellationToken,
    ) {
        let rows = ConversationRowsServiceClient::new(conversations);
        loop {
            match self.expire_all(rows.clone()).await {
                Ok(0) => {}
                Ok(expired) => tracing::info!(expired, "conversations had messages to expire"),
                Err(error) => tracing::warn!(%error, "messages were not all expired"),
            }
            tokio::select! {
                () = stopped.cancelled() => return,
                () = tokio::time::sleep(random::jitter(every)) => {}
            }
        }
    }

    /// One walk over all that have a retention; how many had something to expire.
    async fn expire_all(
        &self,
        mut rows: ConversationRowsServiceClient<Channel>,
    ) -> Result<u64, Error> {
        let mut request = ListRetainedRequest { page_size: PAGE, ..ListRetainedRequest::default() };
        let mut expired = 0;
        loop {
            let page = rows.list_retained(request.clone()).await;
            let page = page.map_err(|status| confab_kit::Error::from_status(&status))?.into_inner();
            let Some(last) = page.conversations.last() else { return Ok(expired) };
            request.after_tenant_id.clone_from(&last.tenant_id);
            request.after_conversation_id.clone_from(&last.conversation_id);
            for conversation in &page.conversations {
                match self.expire_one(conversation).await {
                    Ok(some) => expired += u64::from(some),
                    // The others do not wait for it.
                    Err(error) => tracing::warn!(
                        conversation = conversation.conversation_id, %error, "not expired"
                    ),
                }
            }
        }
    }

    /// Whether there was something to expire.
    async fn expire_one(&self, conversation: &RetainedConversation) -> Result<bool, Error> {
        let Some(key) = key_of(conversation) else { return Ok(false) };
        let retention = retention_from_pb(conversation.retention);
        let mut expired = conversation.expired_through_seq;
        let Some(through) = self.last_to_expire(&key, retention).await? else { return Ok(false) };
        let some = through > expired;
        while expired < through {
            let to = through.min(expired + MAX_EXPIRED_ROWS);
            let (Ok(actor), Ok(request_id)) =
                (UserId::parse(ACTOR), RequestId::parse(&format!("expire-{to}")))
            else {
                return Ok(false);
            };
            let append = Append {
                key: key.clone(),
                actor,
                request_id,
                after_seq: None,
                authority: Authority::System,
                veto: None,
                command: Command::Expire { from: expired + 1, to },
            };
            match self.append(append).await {
                // Another node was here since the list was read: it goes on.
                Err(Error::Refused(Refusal::NoChange)) => return Ok(some),
                appended => drop(appended?),
            }
            metrics::counter!("confab_expiries_total").increment(1);
            expired = to;
        }
        Ok(some)
    }

    /// The newest message that is too old, or one too many.
    async fn last_to_expire(
        &self,
        key: &LogKey,
        retention: Retention,
    ) -> Result<Option<Seq>, Error> {
        let Some(end) = self.logs.store().end(key).await? else { return Ok(None) };
        let head = end.head;
        let age = retention.max_age.saturating_mul(MICROS_PER_SECOND);
        let oldest = clock::now_micros().saturating_sub(i64::try_from(age).unwrap_or(i64::MAX));
        let surplus = head.ordinal.saturating_sub(retention.max_messages);
        let too_old = |row: &Event| retention.max_age > 0 && row.time <= oldest;
        let too_many = |row: &Event| retention.max_messages > 0 && row.ordinal <= surplus;
        let goes = |row: &Event| too_old(row) || too_many(row);
        // Times and ordinals only grow, so all that goes is before all that stays.
        let (mut gone, mut stays) = (None, head.seq + 1);
        let mut low = 1;
        while low < stays {
            let middle = low + (stays - low) / 2;
            let store = self.logs.store();
            let row = store.read(key, middle, middle, Direction::OldestFirst, 1).await?.pop();
            match row {
                Some(row) if goes(&row) => {
                    low = middle + 1;
                    gone = Some(row);
                }
                _ => stays = middle,
            }
        }
        // Only messages expire: without this, an expiry would make the next one.
        Ok(gone.map(|row| row.last_message).filter(|seq| *seq > 0))
    }
}

fn key_of(conversation: &RetainedConversation) -> Option<LogKey> {
    Some(LogKey {
        tenant: TenantId::parse(&conversation.tenant_id).ok()?,
        conversation: ConversationId::parse(&conversation.conversation_id).ok()?,
    })
}
