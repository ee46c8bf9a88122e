//! The browsers' door of a node, where it has one.

use confab_gateway::{Gateway, GatewayOptions, SignIn};
use confab_kit::{
    config::Config,
    identity::{DevKey, Verifier},
    layers::Layered,
    server::Web,
};

/// Before the public services; `None` where this process serves no browsers.
pub(super) fn before(
    config: &Config,
    verifier: &Verifier,
    dev_key: Option<DevKey>,
    public: &Layered,
) -> Option<Web> {
    config.gateway_listen()?;
    let sign_in = dev_key.map(|key| SignIn {
        key,
        verifier: verifier.clone(),
        tenant: DEV_TENANT.to_owned(),
        audience: config.auth.audience.clone(),
        max_seconds: config.auth.max_token_seconds,
    });
    let options = GatewayOptions {
        sign_in,
        allowed_origins: config.gateway.allowed_origins.clone(),
        body_bytes: config.gateway.body_bytes,
    };
    Some(Web::new(Gateway::new(options, public.clone())))
}

/// Whose users sign in in dev mode; `confab token` and `confab chat` say the same.
const DEV_TENANT: &str = "dev";
