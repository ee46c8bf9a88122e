//! Markup, threads, rules, profiles, settings and reports that cannot be; floods
//! of what looks small and is not.

use std::collections::BTreeMap;

use confab_client::{Client, ClientOptions};
use confab_kit::error::Reason;
use confab_proto::{
    conversations::v1::{
        ConversationType, CreateConversationRequest, ListConversationsRequest,
        ListPublicChannelsRequest,
    },
    messages::v1::{
        Content, ContentAction, ContentRule, Entity, PinMessageRequest, Retention,
        SendMessageRequest, UpdateContentRulesRequest, content_rule::Matcher, entity::Kind,
    },
    participants::v1::{
        BatchGetUsersRequest, BlockUserRequest, ConversationSettings, ListUsersRequest,
        ReportMessageRequest, UpdateConversationSettingsRequest, UpdateUserRequest, User,
    },
};
use confab_tests::harness::{Checked, Violation, eventually};
use prost_types::FieldMask;

use super::{Place, passes};

const INVALID: Reason = Reason::InvalidArgument;

fn text(text: impl Into<String>) -> Content {
    Content { text: text.into(), ..Content::default() }
}

fn send(place: &Place, request_id: &str, content: Content) -> SendMessageRequest {
    SendMessageRequest {
        conversation_id: place.group.clone(),
        request_id: request_id.to_owned(),
        content: Some(content),
        ..SendMessageRequest::default()
    }
}

fn mask(paths: &[&str]) -> FieldMask {
    FieldMask { paths: paths.iter().map(ToString::to_string).collect() }
}

fn mention(start: u32, end: u32, user: &str) -> Entity {
    Entity { start, end, kind: Some(Kind::Mention(user.to_owned())) }
}

async fn markup(place: &Place) -> Checked {
    let entities = |text: &str, entities: Vec<Entity>| Content {
        text: text.to_owned(),
        entities,
        ..Content::default()
    };
    let wrong = [
        // Past the end, empty, backwards, in the middle of a character.
        entities("hi", vec![mention(0, 3, "walter")]),
        entities("hi", vec![mention(1, 1, "walter")]),
        entities("hi", vec![mention(2, 1, "walter")]),
        entities("é", vec![mention(1, 2, "walter")]),
        entities("hi", vec![mention(u32::MAX, u32::MAX, "walter")]),
        // One over the other.
        entities("hello", vec![mention(0, 3, "walter"), mention(2, 4, "walter")]),
        entities(&"x".repeat(200), (0..51).map(|n| mention(n, n + 1, "walter")).collect()),
    ];
    for content in wrong {
        let request = send(place, "entities", content);
        place.refuses(&request, INVALID, &["content.entities"]).await?;
    }
    for nobody in ["", "a b", &"x".repeat(129)] {
        let request = send(place, "nobody", entities("hi", vec![mention(0, 1, nobody)]));
        place.refuses(&request, INVALID, &["content.entities.mention"]).await?;
    }
    let long = Content { html: "x".repeat(70_000), ..text("hi") };
    place.refuses(&send(place, "html", long), INVALID, &["content.html"]).await?;
    let nul = Content { html: "a\0b".to_owned(), ..text("hi") };
    place.refuses(&send(place, "nul", nul), INVALID, &["content.html"]).await
}

/// Small on the wire, large or slow for whoever is careless.
async fn floods(place: &Place) -> Checked {
    let family = "👩‍👩‍👧‍👦".repeat(600);
    let zalgo: String = "e".chars().chain("\u{301}\u{335}".chars().cycle().take(8_000)).collect();
    let floods = [
        family,
        "@a ".repeat(5_000),
        "#".repeat(16_000),
        "https://".repeat(2_000),
        "@".repeat(16_000),
        "\u{200b}".repeat(5_000),
        "(".repeat(16_000),
    ];
    for (index, flood) in floods.into_iter().enumerate() {
        let id = format!("flood-{index}");
        let sent = place.answers(&send(place, &id, text(format!("x{flood}")))).await;
        sent.map_err(|error| {
            Violation::broken({
                let told = error.to_string();
                format!("flood {index}: {}", &told[told.len().saturating_sub(300)..])
            })
        })?;
    }
    let lists = |times: usize| Content { html: "<ul><li>".repeat(times), ..text("hi") };
    place.answers(&send(place, "lists", lists(500))).await?;
    place.refuses(&send(place, "lists", lists(501)), INVALID, &["content.html"]).await?;
    place.refuses(&send(place, "zalgo", text(zalgo)), INVALID, &["content.text"]).await?;
    let overrides = text(format!("x{}", "\u{202e}".repeat(101)));
    place.refuses(&send(place, "rtl", overrides), INVALID, &["content.text"]).await
}

async fn references(place: &Place) -> Checked {
    for seq in [1, 10_000, u64::MAX] {
        let reply = SendMessageRequest { reply_to_seq: seq, ..send(place, "reply", text("hi")) };
        place.refuses(&reply, Reason::MessageNotFound, &[]).await?;
        let thread = SendMessageRequest { thread_seq: seq, ..send(place, "thread", text("hi")) };
        place.refuses(&thread, Reason::MessageNotFound, &[]).await?;
    }
    let pin = PinMessageRequest {
        conversation_id: place.group.clone(),
        request_id: "pin".to_owned(),
        ..PinMessageRequest::default()
    };
    place.refuses(&pin, INVALID, &["message_seq"]).await
}

async fn conversations(place: &Place) -> Checked {
    let create = CreateConversationRequest {
        request_id: "r".to_owned(),
        r#type: ConversationType::Group.into(),
        ..CreateConversationRequest::default()
    };
    let public = CreateConversationRequest { public: true, ..create.clone() };
    place.refuses(&public, INVALID, &["public"]).await?;
    let history = CreateConversationRequest { history_visibility: 77, ..create.clone() };
    place.refuses(&history, INVALID, &["history_visibility"]).await?;
    let owner = CreateConversationRequest { owner_id: "walter".to_owned(), ..create.clone() };
    place.refuses(&owner, INVALID, &["owner_id"]).await?;
    let short = Retention { max_age_seconds: 59, ..Retention::default() };
    let short = CreateConversationRequest { retention: Some(short), ..create.clone() };
    place.refuses(&short, INVALID, &["retention.max_age_seconds"]).await?;
    let view = ListConversationsRequest { view: 77, ..Default::default() };
    place.refuses(&view, INVALID, &["view"]).await?;
    let title_query = "é".repeat(201);
    let list = ListPublicChannelsRequest { title_query, page_size: -1, ..Default::default() };
    place.refuses(&list, INVALID, &["page_size", "title_query"]).await
}

async fn people(place: &Place) -> Checked {
    let user = |user: User, paths: &[&str]| UpdateUserRequest {
        user: Some(user),
        update_mask: Some(mask(paths)),
    };
    let name = |display_name: String| User { display_name, ..User::default() };
    place
        .refuses(&user(name("x".repeat(101)), &["display_name"]), INVALID, &["user.display_name"])
        .await?;
    place
        .refuses(
            &user(name("a\u{7}".to_owned()), &["display_name"]),
            INVALID,
            &["user.display_name"],
        )
        .await?;
    let attributes: BTreeMap<_, _> = (0..33).map(|n| (format!("k{n}"), String::new())).collect();
    let many = User { attributes, ..User::default() };
    place.refuses(&user(many, &["attributes"]), INVALID, &["user.attributes"]).await?;
    place.refuses(&user(name(String::new()), &[]), INVALID, &["update_mask"]).await?;
    place.refuses(&user(name(String::new()), &["colour"]), INVALID, &["update_mask"]).await?;
    place.refuses(&BatchGetUsersRequest::default(), INVALID, &["user_ids"]).await?;
    let user_ids = (0..101).map(|n| format!("u{n}")).collect();
    place.refuses(&BatchGetUsersRequest { user_ids }, INVALID, &["user_ids"]).await?;
    let list = ListUsersRequest { query: "x".repeat(101), page_size: -1, ..Default::default() };
    place.refuses(&list, INVALID, &["page_size", "query"]).await?;
    for user_id in ["", "a b", &"x".repeat(129)] {
        let block = BlockUserRequest { user_id: user_id.to_owned() };
        place.refuses(&block, INVALID, &["user_id"]).await?;
    }
    let settings =
        |settings: ConversationSettings, paths: &[&str]| UpdateConversationSettingsRequest {
            conversation_id: place.group.clone(),
            settings: Some(settings),
            update_mask: Some(mask(paths)),
        };
    let none = ConversationSettings::default();
    place.refuses(&settings(none, &[]), INVALID, &["update_mask"]).await?;
    place.refuses(&settings(none, &["color"]), INVALID, &["update_mask"]).await?;
    let report = ReportMessageRequest {
        conversation_id: place.group.clone(),
        message_seq: 0,
        category: 77,
        comment: "x".repeat(1001),
    };
    place.refuses(&report, INVALID, &["message_seq", "category", "comment"]).await
}

/// Patterns that ruin engines which backtrack: the tenant's rules may hold them.
async fn patterns(place: &Place) -> Checked {
    let token = place.node.tokens()?.application(super::TENANT, "backend");
    let app = Client::connect(ClientOptions::new(place.node.uri()).token(token)).await?;
    let rule = |name: &str, pattern: &str, action: ContentAction| ContentRule {
        name: name.to_owned(),
        matcher: Some(Matcher::Pattern(pattern.to_owned())),
        action: action.into(),
    };
    let rules = vec![
        rule("bomb", r"^(a+)+$", ContentAction::Mask),
        rule("other", r"(x+x+)+y", ContentAction::Mask),
        rule("probe", "^probe$", ContentAction::Refuse),
    ];
    app.call(UpdateContentRulesRequest { rules, etag: String::new() }).await?;
    eventually(crate::raw::PATIENCE, "the rules", || async {
        let refused = place.mallory.send(&place.group, "probe").await.is_err();
        Ok(refused.then_some(()))
    })
    .await?;
    let bait = format!("{}!", "a".repeat(16_000));
    place.answers(&send(place, "bomb-a", text(bait))).await?;
    place.answers(&send(place, "bomb-x", text("x".repeat(16_000)))).await?;
    Ok(())
}

async fn check() -> Checked {
    let place = Place::new().await?;
    markup(&place).await?;
    floods(&place).await?;
    references(&place).await?;
    conversations(&place).await?;
    people(&place).await?;
    patterns(&place).await?;
    place.unharmed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_people_and_rules_that_cannot_be_are_refused() {
    passes(check().await);
}
