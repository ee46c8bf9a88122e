//! `confab token`: signs with the dev key of a data folder. Where real keys are
//! configured there is no dev key, and tokens come from the team's own issuer.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use confab_kit::{
    clock,
    config::Config,
    identity::{Claims, DevKey},
};

use crate::{Failure, cli::TokenArguments, output};

pub(crate) fn run(arguments: &TokenArguments) -> Result<(), Failure> {
    if arguments.lifetime <= 0 {
        return Err("--lifetime must be above 0".into());
    }
    let config = arguments.config.load()?;
    let longest = config.auth.max_token_seconds;
    if u64::try_from(arguments.lifetime).is_ok_and(|lifetime| lifetime > longest) {
        return Err(format!("--lifetime must be at most auth.max_token_seconds, {longest}").into());
    }
    let mut claims = match arguments.kind.as_str() {
        "application" => Claims::application(&arguments.tenant, &arguments.user),
        "tenant_admin" => Claims::tenant_admin(&arguments.tenant, &arguments.user),
        _ => Claims {
            device_id: Some(arguments.device.clone()),
            ..Claims::user(&arguments.tenant, &arguments.user)
        },
    };
    claims.exp = clock::now_seconds().saturating_add(arguments.lifetime);
    let token = sign(&config, claims)?;
    output::print(&format!("{token}\n"))
}

/// Signs claims with the dev key, after making sure that they name well-formed ids.
pub(crate) fn sign(config: &Config, mut claims: Claims) -> Result<String, Failure> {
    if !config.is_dev_mode() {
        return Err("an issuer's keys are configured: tokens come from there, not from here".into());
    }
    confab_log::UserId::parse(&claims.sub).map_err(|error| format!("--user {error}"))?;
    confab_log::TenantId::parse(&claims.tenant).map_err(|error| format!("--tenant {error}"))?;
    config.issuer().clone_into(&mut claims.iss);
    claims.aud.clone_from(&config.auth.audience);
    // Not made here: no server would accept what a key of ours has signed.
    let key = DevKey::load(&config.data_dir)?.ok_or_else(|| {
        format!(
            "there is no dev key in {}: start `confab serve` with this data folder first, or name \
             the server's with --data-dir",
            config.data_dir.display()
        )
    })?;
    Ok(key.sign(claims))
}

/// Whom a token is for, as it says itself; `None` where it cannot be read.
pub(crate) fn subject(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    Some(claims.get("sub")?.as_str()?.to_owned())
}
