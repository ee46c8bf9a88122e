//! What is a name and what is not.

use confab_log::{ConversationId, RequestId, TenantId, UserId};

#[test]
fn well_formed_names_are_kept_as_they_are() {
    for text in ["a", "A-Z_0.9:x", &"x".repeat(64)] {
        assert_eq!(TenantId::parse(text).map(|id| id.as_str().to_owned()), Ok(text.to_owned()));
        assert_eq!(RequestId::parse(text).map(|id| id.as_str().to_owned()), Ok(text.to_owned()));
    }
    for text in ["auth0|alice@example.com", "a+b=c", &"x".repeat(128)] {
        assert_eq!(UserId::parse(text).map(|id| id.as_str().to_owned()), Ok(text.to_owned()));
    }
}

#[test]
fn everything_else_is_refused() {
    let long = "x".repeat(129);
    for text in ["", " ", "a b", "a/b", "ä", "a\n", "a\0", "😀", &long] {
        assert!(TenantId::parse(text).is_err(), "{text:?}");
        assert!(RequestId::parse(text).is_err(), "{text:?}");
        assert!(UserId::parse(text).is_err(), "{text:?}");
        assert!(ConversationId::parse(text).is_err(), "{text:?}");
    }
    assert!(TenantId::parse(&"x".repeat(65)).is_err());
    assert!(RequestId::parse(&"x".repeat(65)).is_err());
    assert!(TenantId::parse("a@b").is_err());
    let refused = RequestId::parse("").expect_err("empty");
    assert_eq!(refused.to_string(), "must be 1 to 64 characters of A-Z a-z 0-9 and -_.:");
}

#[test]
fn a_conversation_is_32_lower_case_hexadecimal_digits() {
    let digits = "0123456789abcdef0123456789abcdef";
    let id = ConversationId::parse(digits).expect("well-formed");
    assert_eq!(ConversationId::from_bytes(id.to_bytes()), id);
    assert!(ConversationId::parse(&digits.to_uppercase()).is_err());
    assert!(ConversationId::parse(&digits[1..]).is_err());
    assert!(ConversationId::parse(&format!("{digits}0")).is_err());
}

#[test]
fn conversations_are_named_by_what_makes_them() {
    let parse = |text| UserId::parse(text).expect("well-formed");
    let (tenant, other) = (
        TenantId::parse("acme").expect("well-formed"),
        TenantId::parse("other").expect("well-formed"),
    );
    let (alice, bob) = (parse("alice"), parse("bob"));
    let direct = ConversationId::direct(&tenant, &alice, &bob);
    assert_eq!(direct, ConversationId::direct(&tenant, &bob, &alice));
    assert_ne!(direct, ConversationId::direct(&other, &alice, &bob));
    assert_ne!(
        ConversationId::direct(&tenant, &parse("ab"), &parse("c")),
        ConversationId::direct(&tenant, &parse("a"), &parse("bc")),
    );
    let request = RequestId::parse("bob").expect("well-formed");
    let group = ConversationId::group(&tenant, &alice, &request);
    assert_ne!(group, direct);
    assert_eq!(ConversationId::parse(group.as_str()), Ok(group.clone()));
    // They are on disk and in clients: they stay what they are.
    assert_eq!(direct.as_str(), "1aea8d318f7b884d0c23d973b19e558a");
    assert_eq!(group.as_str(), "b4b37cba07893c614d22979b577eb962");
}
