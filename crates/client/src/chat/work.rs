//! What was typed and has to be done, one after the other, so that messages keep
//! the order they were typed in.

use std::collections::VecDeque;

use futures_util::future::BoxFuture;

use crate::{
    client::{Client, SendOptions},
    error::Error,
    shortcuts::send_request,
};

/// Typed lines that may wait.
const WAITING: usize = 100;

/// One thing to do.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// With the ids of an earlier try, if there was one.
    Send(String, SendOptions),
    Edit(u64, String),
    Delete(u64),
    React(u64, String),
    Unreact(u64, String),
}

/// How a job ended.
pub(super) struct Done {
    job: Job,
    pub(super) result: Result<u64, Error>,
}

/// The queue and the job under way.
pub(super) struct Work {
    client: Client,
    conversation_id: String,
    waiting: VecDeque<Job>,
    current: Option<BoxFuture<'static, Done>>,
}

impl Work {
    pub(super) fn new(client: Client, conversation_id: String) -> Self {
        Self { client, conversation_id, waiting: VecDeque::new(), current: None }
    }

    pub(super) fn add(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING
    }

    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.current.is_none()
    }

    /// Waits for the job under way; for ever when there is none. Cancelling it
    /// loses nothing.
    pub(super) async fn next(&mut self) -> Done {
        if self.current.is_none() {
            let Some(job) = self.waiting.pop_front() else { return std::future::pending().await };
            let client = self.client.clone();
            let conversation_id = self.conversation_id.clone();
            self.current = Some(Box::pin(async move {
                let result = run(&client, &conversation_id, &job).await;
                Done { job, result }
            }));
        }
        let Some(current) = &mut self.current else { return std::future::pending().await };
        let done = current.await;
        self.current = None;
        done
    }

    /// Puts a message whose sending failed for now back to the front, with the ids
    /// of its first try. Says whether it could.
    pub(super) fn again(&mut self, done: Done) -> Result<(), Error> {
        let error = match done.result {
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        };
        let Job::Send(text, mut options) = done.job else { return Err(error) };
        if let Error::Unsettled(unsettled) = error {
            options.request_id = Some(unsettled.request_id);
            options.after_seq = Some(unsettled.after_seq);
        }
        self.waiting.push_front(Job::Send(text, options));
        Ok(())
    }
}

async fn run(client: &Client, conversation_id: &str, job: &Job) -> Result<u64, Error> {
    let id = conversation_id;
    match job.clone() {
        Job::Send(text, options) => {
            let answer = client.command_with(send_request(id, text), options).await?;
            Ok(answer.message.map_or(0, |message| message.seq))
        }
        Job::Edit(seq, text) => client.edit(id, seq, text).await,
        Job::Delete(seq) => client.delete(id, seq).await,
        Job::React(seq, emoji) => client.react(id, seq, emoji).await,
        Job::Unreact(seq, emoji) => client.unreact(id, seq, emoji).await,
    }
}
