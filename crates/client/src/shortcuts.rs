//! Thin helpers for what applications do most, each one `call` or `command`;
//! everything else goes through those, or through the raw clients. Reads are in
//! `reads`.

use confab_proto::{
    conversations::v1::{Conversation, ConversationType, CreateConversationRequest},
    messages::v1::{
        AddReactionRequest, Content, DeleteMessageRequest, EditMessageRequest, MarkReadRequest,
        Message, PinMessageRequest, Receipt, RemoveReactionRequest, SendMessageRequest,
    },
    participants::v1::{
        AddParticipantsRequest, BlockUserRequest, JoinConversationRequest,
        LeaveConversationRequest, RemoveParticipantRequest, Role, UnblockUserRequest,
        UpdateParticipantRoleRequest,
    },
};

use crate::{
    client::{Client, SendOptions},
    error::Error,
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

    /// Answers a message. Answers with the message.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn reply(
        &self,
        conversation_id: impl Into<String>,
        reply_to_seq: u64,
        content: impl IntoContent,
    ) -> Result<Message, Error> {
        let request = SendMessageRequest { reply_to_seq, ..send_request(conversation_id, content) };
        self.command(request).await?.message.ok_or_else(|| missing("message"))
    }

    /// Writes into the thread of a message. Answers with the new message.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn send_in_thread(
        &self,
        conversation_id: impl Into<String>,
        thread_seq: u64,
        content: impl IntoContent,
    ) -> Result<Message, Error> {
        let request = SendMessageRequest { thread_seq, ..send_request(conversation_id, content) };
        self.command(request).await?.message.ok_or_else(|| missing("message"))
    }

    /// Pins a message for everyone. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn pin(
        &self,
        conversation_id: impl Into<String>,
        message_seq: u64,
    ) -> Result<u64, Error> {
        let conversation_id = conversation_id.into();
        let request =
            PinMessageRequest { conversation_id, message_seq, ..PinMessageRequest::default() };
        Ok(self.command(request).await?.seq)
    }

    /// Joins a public channel. Answers with the seq of the event.
    ///
    /// # Errors
    /// As [`Client::command`].
    pub async fn join(&self, conversation_id: impl Into<String>) -> Result<u64, Error> {
        let conversation_id = conversation_id.into();
        let request =
            JoinConversationRequest { conversation_id, ..JoinConversationRequest::default() };
        Ok(self.command(request).await?.seq)
    }

    /// Blocks a user, or lifts the block.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn set_blocked(
        &self,
        user_id: impl Into<String>,
        blocked: bool,
    ) -> Result<(), Error> {
        let user_id = user_id.into();
        if blocked {
            self.call(BlockUserRequest { user_id }).await?;
        } else {
            self.call(UnblockUserRequest { user_id }).await?;
        }
        Ok(())
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
