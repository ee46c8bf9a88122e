//! `confab chat`: signs a token if none is given, and hands over to the client.

use std::io::IsTerminal as _;

use confab_client::{
    Client, ClientOptions,
    chat::{self, ChatOptions, Room},
};
use confab_kit::identity::Claims;
use tokio::io::{BufReader, stdin, stdout};

use crate::{Failure, cli::ChatArguments, token};

pub(crate) async fn run(arguments: ChatArguments) -> Result<(), Failure> {
    let room = match (arguments.with, arguments.conversation) {
        (Some(user), _) => Room::With(user),
        (None, Some(id)) => Room::Conversation(id),
        (None, None) => return Err("--with or --conversation must be given".into()),
    };
    let token = if let Some(token) = arguments.token {
        token
    } else {
        let config = arguments.config.load()?;
        token::sign(&config, Claims::user(&arguments.tenant, &arguments.user))?
    };
    let client = Client::connect(ClientOptions::new(&arguments.server).token(token)).await?;
    let options =
        ChatOptions { colour: std::io::stdout().is_terminal(), ..ChatOptions::new(client, room) };
    chat::run(options, BufReader::new(stdin()), stdout()).await?;
    Ok(())
}
