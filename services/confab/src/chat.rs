//! `confab chat`: signs a token if none is given, makes sure that the server is
//! there and takes it, and hands over to the client.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use confab_client::{
    Client, ClientOptions, Error,
    chat::{self, ChatOptions, Room},
};
use confab_kit::identity::Claims;
use confab_proto::{conversations::v1::ListConversationsRequest, errors::v1::Reason};
use tokio::io::{BufReader, stdin, stdout};

use crate::{Failure, cli::ChatArguments, token};

/// For the first answer: whoever starts a chat is waiting.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

pub(crate) async fn run(arguments: ChatArguments) -> Result<(), Failure> {
    let room = match (&arguments.with, &arguments.conversation) {
        (Some(user), _) => Room::With(user.clone()),
        (None, Some(id)) => Room::Conversation(id.clone()),
        (None, None) => return Err("--with or --conversation must be given".into()),
    };
    let proof = Proof::of(&arguments)?;
    let client =
        Client::connect(ClientOptions::new(&arguments.server).token(proof.token.as_str())).await?;
    meet(&client, &arguments.server, &proof).await?;
    let options =
        ChatOptions { colour: std::io::stdout().is_terminal(), ..ChatOptions::new(client, room) };
    chat::run(options, BufReader::new(stdin()), stdout()).await?;
    Ok(())
}

/// What shows the server who chats.
struct Proof {
    token: String,
    /// The folder of the key that it was signed with here.
    signed_in: Option<PathBuf>,
}

impl Proof {
    fn of(arguments: &ChatArguments) -> Result<Self, Failure> {
        let given = arguments.token.as_deref().filter(|token| !token.is_empty());
        let Some(token) = given else {
            let user = arguments.user.as_deref().ok_or("--user must be given")?;
            let config = arguments.config.load()?;
            let token = token::sign(&config, Claims::user(&arguments.tenant, user))?;
            return Ok(Self { token, signed_in: Some(config.data_dir) });
        };
        if let (Some(user), Some(subject)) = (&arguments.user, token::subject(token))
            && *user != subject
        {
            return Err(format!("--user is {user}, but the token is for {subject}").into());
        }
        Ok(Self { token: token.to_owned(), signed_in: None })
    }
}

/// One small question, asked once: a chat that is under way tries again for half
/// a minute, but whoever starts one wants to know at once.
async fn meet(client: &Client, server: &str, proof: &Proof) -> Result<(), Failure> {
    let question = ListConversationsRequest { page_size: 1, ..Default::default() };
    let Err(error) = client.call_once(question, FIRST_ANSWER).await else { return Ok(()) };
    Err(match (&error, &proof.signed_in) {
        (Error::Transport(why), _) => {
            format!("cannot reach {server}: {why}; is `confab serve` running there?").into()
        }
        (Error::TimedOut, _) => format!("no answer from {server}").into(),
        (error, Some(folder)) if error.reason() == Some(Reason::InvalidToken) => format!(
            "{server} does not accept the token: {error}. It was signed with the dev key in {}; \
             if that is not the server's data folder, name it with --data-dir",
            folder.display()
        )
        .into(),
        _ => error.into(),
    })
}
