//! `confab participant-cache`: asks one node to remember lists of participants, not to,
//! or to forget some.

use confab_proto::participants::v1::{
    Everything, ForgetParticipantsRequest, SetParticipantCacheRequest,
    forget_participants_request::What,
    participant_cache_service_client::ParticipantCacheServiceClient,
};

use crate::{
    Failure,
    backup::told,
    cli::{CacheArguments, CacheCommand, ForgetArguments},
    neighbour, output,
};

pub(crate) async fn run(arguments: CacheArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let channel = match arguments.at {
        Some(address) => neighbour::at(address, &config)?,
        None => neighbour::of_folder(&config)?,
    };
    let mut node = ParticipantCacheServiceClient::new(channel);
    let enabled = match arguments.command {
        CacheCommand::On => true,
        CacheCommand::Off => false,
        CacheCommand::Forget(what) => {
            let all = what.all;
            let answer = node.forget_participants(wanted(what)).await.map_err(told)?.into_inner();
            let many = if all { "all".to_owned() } else { answer.conversations.to_string() };
            let redis = if answer.redis { "" } else { ", but not in Redis, which is away" };
            return output::print(&format!("{many} forgotten{redis}\n"));
        }
    };
    let changed = node.set_participant_cache(SetParticipantCacheRequest { enabled }).await;
    let before = changed.map_err(told)?.into_inner().was_enabled;
    output::print(&format!("{} (was {})\n", word(enabled), word(before)))
}

fn word(enabled: bool) -> &'static str {
    if enabled { "on" } else { "off" }
}

fn wanted(arguments: ForgetArguments) -> ForgetParticipantsRequest {
    let ForgetArguments { tenant, conversation, user, all: _ } = arguments;
    let one = conversation.map(What::ConversationId).or(user.map(What::UserId));
    ForgetParticipantsRequest {
        tenant_id: one.as_ref().map(|_| tenant).unwrap_or_default(),
        what: Some(one.unwrap_or(What::Everything(Everything {}))),
    }
}
