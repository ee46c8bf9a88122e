//! What processes tell each other before they work together, and what makes them
//! refuse to: keys that differ, a role that is not there, a store of its own.

use std::collections::BTreeSet;

use confab_proto::mesh::v1::{
    GreetRequest, GreetResponse,
    peers_service_server::{PeersService, PeersServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{random, role::Role};

/// Tells keys apart; see `config::fingerprint`.
pub type Fingerprint = [u8; 16];

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    process_id: String,
    roles: BTreeSet<Role>,
    digest_key: Fingerprint,
    page_token_keys: Vec<Fingerprint>,
    store_id: String,
}

impl Greeting {
    /// Of this process, from this start on. The first of the page tokens' keys is
    /// the one that it seals with.
    pub fn new(
        roles: BTreeSet<Role>,
        digest_key: Fingerprint,
        page_token_keys: Vec<Fingerprint>,
        store_id: String,
    ) -> Self {
        Self { process_id: random::uuid(), roles, digest_key, page_token_keys, store_id }
    }

    /// What other processes ask; for the mesh's port.
    pub fn service(&self) -> PeersServiceServer<Greeter> {
        PeersServiceServer::new(Greeter(self.clone()))
    }

    pub(super) fn is_own(&self, process_id: &str) -> bool {
        self.process_id == process_id
    }

    /// Why nothing of this role is to be asked of whoever answers this.
    pub(super) fn objection(&self, role: Role, other: &GreetResponse) -> Option<&'static str> {
        let seals = |keys: &[Vec<u8>]| keys.first().cloned().unwrap_or_default();
        let is_known_there = |key: &Fingerprint| other.page_token_keys.iter().any(|k| k == key);
        if other.process_id.is_empty() {
            return Some("is no process of Confab's");
        }
        if !other.roles.iter().any(|name| name == role.name()) {
            return Some("does not serve the role that it is listed for in mesh.peers");
        }
        if other.digest_key != self.digest_key {
            return Some("has another digest_key");
        }
        let sealed_there = seals(&other.page_token_keys);
        let opened_here = self.page_token_keys.iter().any(|key| key[..] == sealed_there[..]);
        if !opened_here || !self.page_token_keys.first().is_some_and(is_known_there) {
            return Some("has another page_token_key");
        }
        if self.roles.contains(&role) && other.store_id != self.store_id {
            return Some("serves the same role from a store of its own");
        }
        None
    }
}

/// Answers `Greet`.
#[derive(Clone, Debug)]
pub struct Greeter(Greeting);

#[tonic::async_trait]
impl PeersService for Greeter {
    async fn greet(&self, _: Request<GreetRequest>) -> Result<Response<GreetResponse>, Status> {
        let Greeting { process_id, roles, digest_key, page_token_keys, store_id } = &self.0;
        Ok(Response::new(GreetResponse {
            process_id: process_id.clone(),
            roles: roles.iter().map(|role| role.name().to_owned()).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest_key: digest_key.to_vec(),
            page_token_keys: page_token_keys.iter().map(|key| key.to_vec()).collect(),
            store_id: store_id.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(roles: &[Role], digest: u8, pages: &[u8], store: &str) -> Greeting {
        let pages = pages.iter().map(|key| [*key; 16]).collect();
        Greeting::new(roles.iter().copied().collect(), [digest; 16], pages, store.to_owned())
    }

    async fn heard(greeting: &Greeting) -> GreetResponse {
        let answer = Greeter(greeting.clone()).greet(Request::new(GreetRequest {})).await;
        answer.expect("an answer").into_inner()
    }

    #[tokio::test]
    async fn what_does_not_fit_together_is_not_used_together() {
        let role = Role::Messages;
        let here = greeting(&[Role::Realtime], 1, &[1], "here");
        for (there, objection) in [
            (greeting(&[role], 1, &[1], "there"), None),
            (greeting(&[Role::Realtime], 1, &[1], "there"), Some("role")),
            (greeting(&[role], 2, &[1], "there"), Some("digest_key")),
            (greeting(&[role], 1, &[2], "there"), Some("page_token_key")),
            // A key that is being changed: each opens what the other one seals.
            (greeting(&[role], 1, &[1, 2], "there"), None),
            (greeting(&[role], 1, &[2, 1], "there"), Some("page_token_key")),
            (greeting(&[role], 1, &[], "there"), Some("page_token_key")),
        ] {
            let said = here.objection(role, &heard(&there).await);
            assert_eq!(said.is_some(), objection.is_some(), "{there:?}: {said:?}");
            assert!(said.unwrap_or_default().contains(objection.unwrap_or_default()), "{said:?}");
        }
        let both = greeting(&[Role::Realtime], 1, &[1, 2], "here");
        let changed = greeting(&[role], 1, &[2, 1], "there");
        assert_eq!(both.objection(role, &heard(&changed).await), None);
        assert!(here.objection(role, &GreetResponse::default()).is_some());
    }

    #[tokio::test]
    async fn one_role_has_one_store() {
        let here = greeting(&[Role::Messages], 1, &[1], "here");
        let twin = greeting(&[Role::Messages], 1, &[1], "here");
        let stranger = greeting(&[Role::Messages], 1, &[1], "there");
        assert_eq!(here.objection(Role::Messages, &heard(&twin).await), None);
        assert!(here.objection(Role::Messages, &heard(&stranger).await).is_some());
        assert!(here.is_own(&heard(&here).await.process_id));
        assert!(!here.is_own(&heard(&twin).await.process_id));
    }
}
