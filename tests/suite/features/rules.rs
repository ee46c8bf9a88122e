//! The tenant's content rules: refuse, flag, mask.

use confab_client::{Client, Error, SendOptions};
use confab_kit::error::Reason;
use confab_proto::messages::v1::{
    Content, ContentAction, ContentRule, GetContentRulesRequest, HostList,
    UpdateContentRulesRequest, WordList, content_rule::Matcher,
};
use confab_proto::participants::v1::{
    ListModerationActionsRequest, ListReportsRequest, ModerationKind, ReportCategory,
};
use confab_tests::harness::{Checked, Violation, eventually};

use super::{Cast, PATIENCE, equal, get, refused};

fn words(name: &str, words: &[&str], action: ContentAction) -> ContentRule {
    let words = words.iter().map(ToString::to_string).collect();
    rule(name, Matcher::Words(WordList { words }), action)
}

fn rule(name: &str, matcher: Matcher, action: ContentAction) -> ContentRule {
    ContentRule { name: name.to_owned(), matcher: Some(matcher), action: action.into() }
}

async fn set(app: &Client, rules: Vec<ContentRule>) -> Result<String, Error> {
    let request = UpdateContentRulesRequest { rules, etag: String::new() };
    Ok(app.call(request).await?.rules.unwrap_or_default().etag)
}

/// A node that has just learnt other rules may use the old ones for some seconds.
async fn in_force(client: &Client, id: &str, text: &str) -> Checked {
    eventually(PATIENCE, "the new rules", || async {
        let answer = client.send(id, text).await;
        Ok(answer.is_err().then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_rule_refuses_what_it_matches_and_says_its_name() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let hosts = HostList { hosts: vec!["bad.example".to_owned()] };
    let rules = vec![
        words("insults", &["fool"], ContentAction::Refuse),
        rule("cards", Matcher::Pattern(r"\b\d{16}\b".to_owned()), ContentAction::Refuse),
        rule("links", Matcher::LinkHosts(hosts), ContentAction::Refuse),
    ];
    set(&cast.app, rules).await?;
    in_force(&cast.alice, &id, "you fool").await?;
    let named = |error: Error| error.metadata("rule").map(str::to_owned);
    for (text, due) in [
        ("you FOOL!", "insults"),
        ("4111111111111111", "cards"),
        ("see https://www.bad.example/x", "links"),
    ] {
        let error = refused(cast.bob.send(&id, text).await, Reason::ContentRefused)?;
        equal(named(error).as_deref(), Some(due))?;
    }
    cast.bob.send(&id, "foolish: https://notbad.example").await?;
    let seq = cast.bob.send(&id, "fine").await?.seq;
    refused(cast.bob.edit(&id, seq, "fool").await, Reason::ContentRefused)?;
    let html = Content { html: "<b>fo</b>ol".to_owned(), ..confab_client::text("fine") };
    refused(cast.bob.send(&id, html).await, Reason::ContentRefused)?;
    // Another tenant has rules of its own.
    let eve = cast.client("other", "eve").await?;
    let theirs = eve.create_group("theirs", &["mallory"]).await?.conversation_id;
    eve.send(&theirs, "fool").await?;
    Ok(())
}

#[tokio::test]
async fn a_rule_masks_what_it_matches() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let rules = vec![
        words("mild", &["darn"], ContentAction::Mask),
        words("probe", &["probe"], ContentAction::Refuse),
    ];
    set(&cast.app, rules).await?;
    in_force(&cast.alice, &id, "probe").await?;
    let rich =
        Content { html: "<b>darn</b> it".to_owned(), ..confab_client::text("Darn it, darn @bob") };
    let sent = cast.alice.send(&id, rich).await?;
    let kept = get(&cast.bob, &id, sent.seq).await?.content.unwrap_or_default();
    equal((kept.text.as_str(), kept.html.as_str()), ("**** it, **** @bob", ""))?;
    equal(kept.entities.first().map(|found| (found.start, found.end)), Some((14, 18)))
}

#[tokio::test]
async fn a_rule_flags_what_it_matches_to_the_moderators() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let rules = vec![
        words("watch", &["scheme"], ContentAction::Flag),
        words("probe", &["probe"], ContentAction::Refuse),
    ];
    set(&cast.app, rules).await?;
    in_force(&cast.alice, &id, "probe").await?;
    let seq = cast.bob.send(&id, "my scheme").await?.seq;
    let report = eventually(PATIENCE, "a report", || async {
        let reports = cast.app.call(ListReportsRequest::default()).await?.reports;
        Ok(reports.into_iter().next())
    })
    .await?;
    equal((report.message_seq, report.sender_id.as_str()), (seq, "bob"))?;
    equal(report.category(), ReportCategory::Rule)?;
    equal((report.reporter_id.as_str(), report.comment.as_str()), ("", "watch"))?;
    equal(report.content.unwrap_or_default().text, "my scheme".to_owned())?;
    let request = ListModerationActionsRequest { conversation_id: id, ..Default::default() };
    let actions = cast.alice.call(request).await?.actions;
    let found = actions.first().map(|action| (action.kind(), action.message_seq));
    equal(found, Some((ModerationKind::MessageFlagged, seq)))
}

#[tokio::test]
async fn a_retry_is_answered_as_before_whatever_the_rules_say_now() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let once = || SendOptions { request_id: Some("once".to_owned()), ..SendOptions::default() };
    let sent = cast.bob.send_with(&id, "a fool", once()).await?;
    set(&cast.app, vec![words("insults", &["fool"], ContentAction::Refuse)]).await?;
    in_force(&cast.alice, &id, "fool").await?;
    equal(cast.bob.send_with(&id, "a fool", once()).await?.seq, sent.seq)?;
    // What is in the log stays as it is.
    equal(get(&cast.alice, &id, sent.seq).await?.content, sent.content)
}

#[tokio::test]
async fn rules_are_replaced_by_whoever_has_seen_them_and_only_by_applications() -> Checked {
    let cast = Cast::new().await?;
    let first = set(&cast.app, vec![words("one", &["one"], ContentAction::Mask)]).await?;
    let second = set(&cast.app, vec![words("two", &["two"], ContentAction::Mask)]).await?;
    let stale = UpdateContentRulesRequest { rules: Vec::new(), etag: first };
    let error = refused(cast.app.call(stale).await, Reason::EtagMismatch)?;
    equal(error.metadata("etag"), Some(second.as_str()))?;
    let current = UpdateContentRulesRequest { rules: Vec::new(), etag: second };
    cast.app.call(current).await?;
    let rules = cast.app.call(GetContentRulesRequest {}).await?.rules.unwrap_or_default();
    equal((rules.rules.len(), rules.update_time.is_some()), (0, true))?;
    refused(cast.alice.call(GetContentRulesRequest {}).await, Reason::CallerNotAllowed)?;
    Ok(())
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_by_field() -> Checked {
    let cast = Cast::new().await?;
    let bad: [(Vec<ContentRule>, &str); 8] = [
        (vec![words("", &["x"], ContentAction::Mask)], "rules[0].name"),
        (vec![words("a", &[], ContentAction::Mask)], "rules[0].words"),
        (vec![words("a", &["x"], ContentAction::Unspecified)], "rules[0].action"),
        (vec![words("a", &["x"], ContentAction::Mask); 2], "rules[1].name"),
        (vec![rule("a", Matcher::Pattern("(".to_owned()), ContentAction::Mask)], "rules[0]"),
        (
            vec![rule("a", Matcher::Pattern("(a{999}){999}".to_owned()), ContentAction::Mask)],
            "rules[0]",
        ),
        (vec![ContentRule { name: "a".to_owned(), matcher: None, action: 1 }], "rules[0]"),
        ((0..101).map(|n| words(&format!("r{n}"), &["x"], ContentAction::Mask)).collect(), "rules"),
    ];
    for (rules, field) in bad {
        let error = refused(set(&cast.app, rules).await, Reason::InvalidArgument)?;
        let named = error.to_string();
        Violation::unless(named.contains(field), || format!("{field} is not in {named}"))?;
    }
    Ok(())
}
