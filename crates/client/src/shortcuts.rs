//! Thin helpers for what applications do most. Each is one `call` or `command`;
//! everything else goes through those, or through the raw clients.

use confab_proto::{
    conversations::v1::{
        CompareHeadsRequest, Conversation, ConversationCursor, ConversationHead,
        ConversationListItem, ConversationType, CreateConversationRequest, GetConversationRequest,
        ListConversationsRequest,
    },
    messages::v1::{
        AddReactionRequest, Content, DeleteMessageRequest, EditMessageRequest, Event,
        ListEventsRequest, ListMessagesRequest, MarkReadRequest, Message, Receipt,
        RemoveReactionRequest, SendMessageRequest,
    },
    participants::v1::{
        AddParticipantsRequest, LeaveConversationRequest, ListParticipantsRequest, Participant,
        RemoveParticipantRequest, Role, UpdateParticipantRoleRequest,
    },
};

use crate::{
    client::{Client, SendOptions},
    error::Error,
    fold::Snapshot,
};

/// Text as a message's content.
pub fn text(text: impl Into<String>) -> Content {
    Content { text: text.into(), ..Content::default() }
}

/// What can be sent: a text, or a whole [`Content`].
pub trait IntoContent {
    /// The content.
    fn into_content(self) -> Content;
}

impl IntoContent for Content {
    fn into_content(self) -> Content {
        self
    }
}

impl IntoContent for &str {
    fn into_content(self) -> Content {
        text(self)
    }
}

impl IntoContent for String {
    fn into_content(self) -> Content {
        text(self)
    }
}

impl Client {
    /// Creates a group; the caller becomes its owner.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn create_group(
        &self,
        title: impl Into<String>,
        participant_ids: &[&str],
    ) -> Result<Conversation, Error> {
        self.create(CreateConversationRequest {
            r#type: ConversationType::Group.into(),
            participant_ids: owned(participant_ids),
            title: title.into(),
            ..CreateConversationRequest::default()
        })
        .await
    }

    /// Opens the direct conversation with a user: the one that exists, a deleted
    /// one restored, or a new one.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn open_direct(&self, user_id: impl Into<String>) -> Result<Conversation, Error> {
        self.create(CreateConversationRequest {
            r#type: ConversationType::Direct.into(),
            participant_ids: vec![user_id.into()],
            ..CreateConversationRequest::default()
        })
        .await
    }

    async fn create(&self, request: CreateConversationRequest) -> Result<Conversation, Error> {
        let answer = self.command(request).await?;
        answer.conversation.ok_or_else(|| missing("conversation"))
    }

    /// Sends a message. Exactly once, however often the network fails.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn send(
        &self,
        conversation_id: impl Into<String>,
        content: impl IntoContent,
    ) -> Result<Message, Error> {
        self.send_with(conversation_id, content, SendOptions::default()).await
    }

    /// [`Client::send`] with ids or a deadline of the caller's choice.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn send_with(
        &self,
        conversation_id: impl Into<String>,
        content: impl IntoContent,
        options: SendOptions,
    ) -> Result<Message, Error> {
        let request = send_request(conversation_id, content);
        let answer = self.command_with(request, options).await?;
        answer.message.ok_or_else(|| missing("message"))
    }

    /// Replaces a message's content. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn edit(
        &self,
        conversation_id: impl Into<String>,
        message_seq: u64,
        content: impl IntoContent,
    ) -> Result<u64, Error> {
        let request = EditMessageRequest {
            conversation_id: conversation_id.into(),
            message_seq,
            content: Some(content.into_content()),
            ..EditMessageRequest::default()
        };
        Ok(self.command(request).await?.seq)
    }

    /// Deletes a message. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn delete(
        &self,
        conversation_id: impl Into<String>,
        message_seq: u64,
    ) -> Result<u64, Error> {
        let conversation_id = conversation_id.into();
        let request = DeleteMessageRequest {
            conversation_id,
            message_seq,
            ..DeleteMessageRequest::default()
        };
        Ok(self.command(request).await?.seq)
    }

    /// Adds the caller's reaction. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn react(
        &self,
        conversation_id: impl Into<String>,
        message_seq: u64,
        emoji: impl Into<String>,
    ) -> Result<u64, Error> {
        let request = AddReactionRequest {
            conversation_id: conversation_id.into(),
            message_seq,
            emoji: emoji.into(),
            ..AddReactionRequest::default()
        };
        Ok(self.command(request).await?.seq)
    }

    /// Takes the caller's reaction back. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn unreact(
        &self,
        conversation_id: impl Into<String>,
        message_seq: u64,
        emoji: impl Into<String>,
    ) -> Result<u64, Error> {
        let request = RemoveReactionRequest {
            conversation_id: conversation_id.into(),
            message_seq,
            emoji: emoji.into(),
            ..RemoveReactionRequest::default()
        };
        Ok(self.command(request).await?.seq)
    }

    /// Moves the caller's read cursor. Answers with the cursors and what is unread.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn mark_read(
        &self,
        conversation_id: impl Into<String>,
        read_seq: u64,
    ) -> Result<(Receipt, u64), Error> {
        let request = MarkReadRequest { conversation_id: conversation_id.into(), read_seq };
        let answer = self.call(request).await?;
        Ok((answer.receipt.unwrap_or_default(), answer.unread_count))
    }

    /// Adds members to a group. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn add_participants(
        &self,
        conversation_id: impl Into<String>,
        user_ids: &[&str],
    ) -> Result<u64, Error> {
        let request = AddParticipantsRequest {
            conversation_id: conversation_id.into(),
            user_ids: owned(user_ids),
            ..AddParticipantsRequest::default()
        };
        Ok(self.command(request).await?.seq)
    }

    /// Removes a participant of a lower role. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn remove_participant(
        &self,
        conversation_id: impl Into<String>,
        user_id: impl Into<String>,
    ) -> Result<u64, Error> {
        let request = RemoveParticipantRequest {
            conversation_id: conversation_id.into(),
            user_id: user_id.into(),
            ..RemoveParticipantRequest::default()
        };
        Ok(self.command(request).await?.seq)
    }

    /// Makes a member an admin, or an admin a member. Answers with the event's seq.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn set_role(
        &self,
        conversation_id: impl Into<String>,
        user_id: impl Into<String>,
        role: Role,
    ) -> Result<u64, Error> {
        let request = UpdateParticipantRoleRequest {
            conversation_id: conversation_id.into(),
            user_id: user_id.into(),
            role: role.into(),
            ..UpdateParticipantRoleRequest::default()
        };
        Ok(self.command(request).await?.seq)
    }

    /// Leaves a group. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn leave(&self, conversation_id: impl Into<String>) -> Result<u64, Error> {
        let conversation_id = conversation_id.into();
        let request =
            LeaveConversationRequest { conversation_id, ..LeaveConversationRequest::default() };
        Ok(self.command(request).await?.seq)
    }

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

pub(crate) fn send_request(
    conversation_id: impl Into<String>,
    content: impl IntoContent,
) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: conversation_id.into(),
        content: Some(content.into_content()),
        ..SendMessageRequest::default()
    }
}

pub(crate) fn missing(field: &str) -> Error {
    Error::Protocol(format!("an answer without its {field}"))
}

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|&id| id.to_owned()).collect()
}
