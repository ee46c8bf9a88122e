//! Admission: the second of the policy's three places. After decoding, it
//! finds the conversation that a request names, looks at the caller's relation
//! to it, and yields an [`Admitted`] request. Domain functions take nothing
//! else, so a forgotten check does not compile. It decides nothing about
//! commands: those are decided by the log, where they land.

use std::time::Duration;

use confab_log::{ids::ConversationId, mutant};
use confab_proto::{
    messages::v1::{ObserveRequest, log_service_client::LogServiceClient},
    method::{Relation, RpcRequest, Target},
};

use crate::{
    channel::Channel,
    error::{Error, Reason},
    identity::Caller,
    random,
};

/// Admits requests.
#[derive(Clone, Debug)]
pub struct Admission {
    log: LogServiceClient<Channel>,
}

/// A request whose policy was looked at. Only [`Admission::admit`] makes one.
#[derive(Clone, Debug)]
pub struct Admitted<T> {
    caller: Caller,
    message: T,
    view: Option<View>,
}

/// What the caller may see of the conversation, as of one look at its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Every event up to this one is folded.
    pub as_of: u64,
    /// What the caller is to the conversation.
    pub relation: Relation,
    /// The last event that the caller may see.
    pub visible: u64,
    /// The join of the caller's last time as a participant.
    pub join_seq: u64,
    /// The parts of the log that the caller may see, first and last event of each,
    /// where it is not all of it up to `visible`.
    pub spans: Vec<(u64, u64)>,
    /// Whether the caller may write a message there now.
    pub can_write: bool,
    /// How many participants there are.
    pub participants: u32,
}

impl Admission {
    /// Asks this log about relations.
    pub fn new(log: LogServiceClient<Channel>) -> Self {
        Self { log }
    }

    /// Admits the request or refuses it: a stranger learns no more than that
    /// there is no such conversation.
    pub async fn admit<T: RpcRequest>(
        &self,
        request: tonic::Request<T>,
    ) -> Result<Admitted<T>, Error> {
        let (_, extensions, message) = request.into_parts();
        let caller = extensions.get::<Caller>().cloned().ok_or_else(|| {
            Error::new(Reason::MissingToken, "nobody has proven who makes this call")
        })?;
        let target = T::METHOD.policy.as_ref().map_or(Target::Missing, |policy| policy.target);
        let view = self.view(&caller, target, message.conversation_id()).await?;
        Ok(Admitted { caller, message, view })
    }

    async fn view(
        &self,
        caller: &Caller,
        target: Target,
        conversation_id: Option<&str>,
    ) -> Result<Option<View>, Error> {
        let (Target::Conversation { field, minimum, decided_by_log }, Some(text)) =
            (target, conversation_id)
        else {
            return Ok(None);
        };
        // The handler finds a malformed id together with whatever else is wrong.
        if decided_by_log {
            return Ok(None);
        }
        let conversation = ConversationId::parse(text)
            .map_err(|invalid| Error::violation(field, invalid.to_string()))?;
        let view = self.observe(caller, &conversation).await?;
        if mutant::is("late-reads") {
            // Breaks nothing by itself, but much can happen before what follows.
            tokio::time::sleep(random::jitter(Duration::from_millis(80))).await;
        }
        if view.relation < minimum && !mutant::is("policy-skip-relation") {
            return Err(too_little(view.relation));
        }
        Ok(Some(view))
    }

    /// Looks again, for a participant who has read what may be newer than the look
    /// that the call was admitted with: whoever was removed in between must not see
    /// what happened after.
    pub async fn still_participates(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
    ) -> Result<(), Error> {
        let view = self.observe(caller, conversation).await?;
        if view.relation < Relation::Member && !mutant::is("no-second-look") {
            return Err(too_little(view.relation));
        }
        Ok(())
    }

    async fn observe(&self, caller: &Caller, conversation: &ConversationId) -> Result<View, Error> {
        let question = ObserveRequest {
            tenant_id: caller.tenant.to_string(),
            conversation_id: conversation.to_string(),
            user_id: caller.user.to_string(),
            application: !caller.is_user(),
        };
        let answer = self.log.clone().observe(question).await;
        let seen = answer.map_err(|status| Error::from_status(&status))?.into_inner();
        let exists = seen.as_of_seq > 0;
        Ok(View {
            as_of: seen.as_of_seq,
            relation: if exists {
                Relation::from_number(seen.relation)
            } else {
                Relation::Stranger
            },
            visible: seen.visible_seq,
            join_seq: seen.join_seq,
            spans: seen.spans.iter().map(|span| (span.from_seq, span.to_seq)).collect(),
            can_write: seen.can_write,
            participants: seen.participant_count,
        })
    }
}

fn too_little(relation: Relation) -> Error {
    match relation {
        Relation::Stranger => Error::new(Reason::ConversationNotFound, "no such conversation"),
        Relation::FormerMember => {
            Error::new(Reason::NotAParticipant, "the caller is no longer a participant")
        }
        _ => Error::new(Reason::RoleTooLow, "the caller's role is not enough"),
    }
}

impl<T> Admitted<T> {
    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The request.
    pub fn message(&self) -> &T {
        &self.message
    }

    /// What the caller may see; `None` where the policy needs no look.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// The same admission of the request's domain form.
    pub fn try_map<U, E>(self, convert: impl FnOnce(T) -> Result<U, E>) -> Result<Admitted<U>, E> {
        let message = convert(self.message)?;
        Ok(Admitted { caller: self.caller, message, view: self.view })
    }

    /// The same, where nothing can be wrong with the request.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Admitted<U> {
        Admitted { caller: self.caller, message: convert(self.message), view: self.view }
    }

    /// Its parts.
    pub fn into_parts(self) -> (Caller, T, Option<View>) {
        (self.caller, self.message, self.view)
    }
}

#[cfg(test)]
mod tests;
