//! Thin helpers that read: each is one `call`, or pages until there is no more.

use confab_proto::{
    conversations::v1::{
        CompareHeadsRequest, Conversation, ConversationCursor, ConversationHead,
        ConversationListItem, GetConversationRequest, ListConversationsRequest,
    },
    messages::v1::{Event, ListEventsRequest, ListMessagesRequest},
    participants::v1::{ListParticipantsRequest, Participant},
};

use crate::{client::Client, error::Error, fold::Snapshot, shortcuts::missing};

impl Client {
    /// Returns a conversation and the event up to which it is exact.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn get_conversation(
        &self,
        conversation_id: impl Into<String>,
    ) -> Result<(Conversation, u64), Error> {
        let request = GetConversationRequest { conversation_id: conversation_id.into() };
        let answer = self.call(request).await?;
        let conversation = answer.conversation.ok_or_else(|| missing("conversation"))?;
        self.note_head(&conversation.conversation_id, answer.as_of_seq);
        Ok((conversation, answer.as_of_seq))
    }

    /// Returns all conversations of the caller, the most recently active first.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn all_conversations(&self) -> Result<Vec<ConversationListItem>, Error> {
        let mut items = Vec::new();
        let mut request = ListConversationsRequest::default();
        loop {
            let page = self.call(request.clone()).await?;
            items.extend(page.conversations);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        for head in items.iter().filter_map(|item| item.head.as_ref()) {
            self.note_head(&head.conversation_id, head.seq);
        }
        Ok(items)
    }

    /// Returns the end of a conversation's log as the caller sees it; `None` when
    /// the caller may not know of it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn head_of(
        &self,
        conversation_id: impl Into<String>,
    ) -> Result<Option<ConversationHead>, Error> {
        let cursor = ConversationCursor { conversation_id: conversation_id.into(), seq: 0 };
        let answer = self.call(CompareHeadsRequest { cursors: vec![cursor] }).await?;
        let head = answer.moved.into_iter().next();
        if let Some(head) = &head {
            self.note_head(&head.conversation_id, head.seq);
        }
        Ok(head)
    }

    /// Returns a page of the log: at most `limit` events above `after_seq`, and
    /// the newest event that the caller may see.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn events_after(
        &self,
        conversation_id: &str,
        after_seq: u64,
        limit: u16,
    ) -> Result<(Vec<Event>, u64), Error> {
        let page_size = i32::from(limit);
        let conversation_id = conversation_id.to_owned();
        let request = ListEventsRequest { conversation_id, after_seq, page_size };
        let answer = self.call(request).await?;
        Ok((answer.events, answer.head_seq))
    }

    /// Reads what folding starts from: the newest `messages` messages (at most
    /// 200 a page, as many pages as it takes), all participants, and the
    /// conversation. See [`ConversationState`](crate::fold::ConversationState).
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn snapshot(
        &self,
        conversation_id: impl Into<String>,
        messages: usize,
    ) -> Result<Snapshot, Error> {
        let conversation_id = conversation_id.into();
        let mut snapshot = Snapshot::new();
        self.read_messages(&conversation_id, messages, &mut snapshot).await?;
        self.read_participants(&conversation_id, &mut snapshot).await?;
        // Last: the count of participants in it is then at least as new as they.
        let (conversation, as_of_seq) = self.get_conversation(conversation_id).await?;
        snapshot.add_conversation(conversation, as_of_seq);
        Ok(snapshot)
    }

    async fn read_messages(
        &self,
        conversation_id: &str,
        limit: usize,
        snapshot: &mut Snapshot,
    ) -> Result<(), Error> {
        let mut page_token = String::new();
        let mut left = limit;
        while left > 0 {
            let request = ListMessagesRequest {
                conversation_id: conversation_id.to_owned(),
                // Every page must ask as the first one did.
                page_size: i32::try_from(limit.min(200)).unwrap_or(200),
                page_token,
                ..ListMessagesRequest::default()
            };
            let page = self.call(request).await?;
            left = left.saturating_sub(page.messages.len());
            let complete = page.next_page_token.is_empty();
            snapshot.add_messages(page.messages, page.as_of_seq, complete);
            if complete {
                break;
            }
            page_token = page.next_page_token;
        }
        Ok(())
    }

    async fn read_participants(
        &self,
        conversation_id: &str,
        snapshot: &mut Snapshot,
    ) -> Result<(), Error> {
        let mut page_token = String::new();
        loop {
            let request = ListParticipantsRequest {
                conversation_id: conversation_id.to_owned(),
                page_size: 200,
                page_token,
            };
            let page = self.call(request).await?;
            snapshot.add_participants(page.participants, page.as_of_seq);
            if page.next_page_token.is_empty() {
                return Ok(());
            }
            page_token = page.next_page_token;
        }
    }

    /// Returns all participants of a conversation, in the order of their ids.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn all_participants(&self, conversation_id: &str) -> Result<Vec<Participant>, Error> {
        let mut snapshot = Snapshot::new();
        self.read_participants(conversation_id, &mut snapshot).await?;
        Ok(snapshot.into_participants())
    }
}
