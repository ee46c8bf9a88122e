//! `confab chat`: signs a token if none is given, and hands over to the client.

use confab_kit::identity::Claims;

use crate::{Failure, cli::ChatArguments, token};

pub(crate) async fn run(arguments: ChatArguments) -> Result<(), Failure> {
    let token = match arguments.token {
        Some(token) => token,
        None => {
            let config = arguments.config.load()?;
            token::sign(&config, Claims::user(&arguments.tenant, &arguments.user))?
        }
    };
    Err(format!("chat is not linked in yet ({} bytes of token)", token.len()).into())
}
