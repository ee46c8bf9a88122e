//! `confab token`: signs with the dev key of a data folder. Where real keys are
//! configured there is no dev key, and tokens come from the team's own issuer.

use confab_kit::{
    clock,
    config::Config,
    identity::{Claims, DevKey},
};

use crate::{Failure, cli::TokenArguments};

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
    println!("{}", sign(&config, claims)?);
    Ok(())
}

/// Signs claims with the dev key, after making sure that they name well-formed ids.
pub(crate) fn sign(config: &Config, mut claims: Claims) -> Result<String, Failure> {
    if !config.is_dev_mode() {
        return Err("auth.keys are configured: tokens come from their issuer, not from here".into());
    }
    confab_log::UserId::parse(&claims.sub).map_err(|error| format!("--user {error}"))?;
    confab_log::TenantId::parse(&claims.tenant).map_err(|error| format!("--tenant {error}"))?;
    config.issuer().clone_into(&mut claims.iss);
    claims.aud.clone_from(&config.auth.audience);
    Ok(DevKey::load_or_create(&config.data_dir)?.sign(claims))
}
