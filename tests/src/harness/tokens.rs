//! Tokens of a node in dev mode: good ones, and the bad ones that it must refuse.

use std::path::Path;

use confab_kit::identity::{Claims, DevKey};

use super::{Checked, Violation};

/// Signs with a node's own key.
#[derive(Debug)]
pub struct Tokens(DevKey);

impl Tokens {
    /// Reads the key that the node made in its data folder.
    ///
    /// # Errors
    /// [`Violation::Unable`] when it cannot be read.
    pub fn of(data_dir: &Path) -> Checked<Self> {
        DevKey::load_or_create(data_dir).map(Self).map_err(Violation::unable)
    }

    /// A user's token.
    pub fn user(&self, tenant: &str, user: &str) -> String {
        self.0.sign(Claims::user(tenant, user))
    }

    /// An application's token.
    pub fn application(&self, tenant: &str, name: &str) -> String {
        self.0.sign(Claims::application(tenant, name))
    }

    /// Any claims, well signed.
    pub fn sign(&self, claims: &Claims) -> String {
        self.0.sign(claims)
    }

    /// One that ended two hours ago.
    pub fn expired(&self, tenant: &str, user: &str) -> String {
        let claims = Claims::user(tenant, user);
        let (iat, exp) = (claims.iat - 10_800, claims.exp - 10_800);
        self.0.sign(Claims { iat, exp, ..claims })
    }

    /// One for somebody else's service.
    pub fn wrong_audience(&self, tenant: &str, user: &str) -> String {
        self.0.sign(Claims { aud: "elsewhere".to_owned(), ..Claims::user(tenant, user) })
    }

    /// One signed by a stranger's key of the same name.
    ///
    /// # Panics
    /// Never: a fresh key signs.
    pub fn forged(tenant: &str, user: &str) -> String {
        let stranger = DevKey::ephemeral().expect("a fresh key");
        stranger.sign(Claims::user(tenant, user))
    }

    /// One without its signature.
    pub fn unsigned(&self, tenant: &str, user: &str) -> String {
        let token = self.user(tenant, user);
        let end = token.rfind('.').map_or(token.len(), |dot| dot + 1);
        token[..end].to_owned()
    }

    /// One whose header says `alg: none`, without a signature.
    pub fn alg_none(&self, tenant: &str, user: &str) -> String {
        // {"alg":"none","typ":"JWT","kid":"dev"}
        const HEADER: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoiZGV2In0";
        let token = self.user(tenant, user);
        let claims = token.split('.').nth(1).unwrap_or_default();
        format!("{HEADER}.{claims}.")
    }
}
