//! Who is too little to a conversation learns no more than they may.

use confab_proto::{
    conversations::v1::{
        GetConversationRequest, ListConversationsRequest, UpdateConversationRequest,
    },
    messages::v1::SendMessageRequest,
};

use super::*;
use crate::{identity::Claims, layers::Port, testing::World};

const ID: &str = "0123456789abcdef0123456789abcdef";

struct Desk {
    world: World,
    admission: Admission,
}

impl Desk {
    fn new(as_of: u64, relation: i32) -> Self {
        let world = World::new();
        *world.tiny.seen.lock().expect("lock") = (as_of, relation);
        let channel = world.channel(Port::Mesh).with_mesh_credential(&world.credential);
        Self { admission: Admission::new(LogServiceClient::new(channel)), world }
    }

    async fn admit<T: RpcRequest>(&self, message: T) -> Result<Admitted<T>, Error> {
        let token = self.world.token(Claims::user("acme", "alice"));
        let verifier = self.world.key.verifier().expect("a verifier");
        let mut request = tonic::Request::new(message);
        request.extensions_mut().insert(verifier.verify(&token).await.expect("passes"));
        self.admission.admit(request).await
    }

    async fn get(&self) -> Result<Relation, Reason> {
        let request = GetConversationRequest { conversation_id: ID.into() };
        let admitted = self.admit(request).await.map_err(|error| error.reason())?;
        Ok(admitted.view().expect("a view").relation)
    }
}

#[tokio::test]
async fn relations_below_the_minimum_are_refused() {
    // GetConversation is for former members and up, or for members and up.
    let Target::Conversation { minimum, .. } =
        GetConversationRequest::METHOD.policy.as_ref().expect("a policy").target
    else {
        panic!("not about a conversation");
    };
    assert_eq!(Desk::new(0, 4).get().await, Err(Reason::ConversationNotFound));
    assert_eq!(Desk::new(9, 0).get().await, Err(Reason::ConversationNotFound));
    let former = Desk::new(9, 1).get().await;
    if minimum > Relation::FormerMember {
        assert_eq!(former, Err(Reason::NotAParticipant));
    } else {
        assert_eq!(former, Ok(Relation::FormerMember));
    }
    assert_eq!(Desk::new(9, 2).get().await, Ok(Relation::Member));
    assert_eq!(Desk::new(9, 4).get().await, Ok(Relation::Owner));
    assert_eq!(Desk::new(9, 77).get().await, Err(Reason::ConversationNotFound));
}

#[test]
fn each_distance_has_its_reason() {
    assert_eq!(too_little(Relation::Stranger).reason(), Reason::ConversationNotFound);
    assert_eq!(too_little(Relation::FormerMember).reason(), Reason::NotAParticipant);
    assert_eq!(too_little(Relation::Member).reason(), Reason::RoleTooLow);
}

#[tokio::test]
async fn commands_are_left_to_the_log() {
    let desk = Desk::new(0, 0);
    let request = UpdateConversationRequest { conversation_id: ID.into(), ..Default::default() };
    assert_eq!(desk.admit(request).await.expect("admitted").view(), None);
    let request = SendMessageRequest { conversation_id: ID.into(), ..Default::default() };
    assert_eq!(desk.admit(request).await.expect("admitted").caller().user.as_str(), "alice");
}

#[tokio::test]
async fn malformed_ids_are_violations() {
    let desk = Desk::new(9, 4);
    for bad in ["", "nonsense", &ID.to_uppercase()] {
        let request = GetConversationRequest { conversation_id: bad.into() };
        let error = desk.admit(request).await.expect_err("malformed");
        assert_eq!(error.reason(), Reason::InvalidArgument);
        assert_eq!(error.violations()[0].field, "conversation_id");
        // Of a command the handler tells it, with all else that is wrong.
        let request = SendMessageRequest { conversation_id: bad.into(), ..Default::default() };
        assert_eq!(desk.admit(request).await.expect("no look").view(), None);
    }
}

#[tokio::test]
async fn ones_own_things_need_no_look() {
    let desk = Desk::new(0, 0);
    let admitted = desk.admit(ListConversationsRequest::default()).await.expect("admitted");
    let mapped = admitted.try_map(|_| Ok::<_, Error>(7)).expect("mapped");
    assert_eq!((mapped.view(), *mapped.message()), (None, 7));
    assert_eq!(mapped.into_parts().0.tenant.as_str(), "acme");
}

#[tokio::test]
async fn a_call_without_layers_is_refused() {
    let desk = Desk::new(9, 4);
    let request = tonic::Request::new(ListConversationsRequest::default());
    let error = desk.admission.admit(request).await.expect_err("nobody");
    assert_eq!(error.reason(), Reason::MissingToken);
}

#[cfg(feature = "mutants")]
#[tokio::test]
async fn policy_skip_relation_lets_strangers_in() {
    confab_log::mutant::set(Some("policy-skip-relation"));
    assert_eq!(Desk::new(9, 0).get().await, Ok(Relation::Stranger));
}
