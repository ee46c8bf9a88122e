//! The stages together: what rules do to a content, and what stays in place.

use confab_log::{
    Command, Content, Refusal,
    event::{Entity, EntityKind},
};

use super::transform;
use crate::rules::{Action, Matcher, Rule, Rules};

fn rules(action: Action) -> Rules {
    let words = Matcher::Words(vec!["darn".to_owned(), "c++".to_owned()]);
    let rule = Rule { name: "language".to_owned(), matcher: words, action };
    Rules::compile(&[rule]).expect("good rules")
}

fn sent(content: Content, rules: &Rules) -> (Content, Vec<String>, Option<Refusal>) {
    match transform(Command::send(content), rules) {
        (Command::Send { content, flags, .. }, veto) => (content, flags, veto),
        (other, _) => panic!("{other:?}"),
    }
}

fn text(text: &str) -> Content {
    Content { text: text.to_owned(), ..Content::default() }
}

#[test]
fn masking_keeps_what_follows_in_its_place() {
    let (content, flags, veto) = sent(text("DARN @bob, no c++ in darned"), &rules(Action::Mask));
    assert_eq!(content.text, "**** @bob, no *** in darned");
    assert_eq!((flags, veto), (Vec::new(), None));
    let [Entity { start: 5, end: 9, kind: EntityKind::Mention(_) }] = &content.entities[..] else {
        panic!("{:?}", content.entities)
    };
}

#[test]
fn html_in_which_something_is_masked_is_left_out() {
    let html = |html: &str| Content { html: Some(html.to_owned()), ..text("hello") };
    let masked = rules(Action::Mask);
    assert_eq!(sent(html("<p>da<b>rn</b></p>"), &masked).0.html, None);
    let clean = sent(html("<p onload=x>fine</p>"), &masked).0.html;
    assert_eq!(clean.as_deref(), Some("<p>fine</p>"));
}

#[test]
fn flags_and_refusals_name_their_rule() {
    let (content, flags, veto) = sent(text("darn it"), &rules(Action::Flag));
    assert_eq!(
        (content.text.as_str(), flags.as_slice()),
        ("darn it", &["language".to_owned()][..])
    );
    assert_eq!(veto, None);
    let (_, _, veto) = sent(text("darn it"), &rules(Action::Refuse));
    assert_eq!(veto, Some(Refusal::ContentRefused { rule: "language".to_owned() }));
}

#[test]
fn an_edit_goes_the_same_way() {
    let (command, veto) = transform(Command::edit(7, text("darn")), &rules(Action::Refuse));
    assert!(matches!(command, Command::Edit { target: 7, .. }) && veto.is_some());
    let (command, _) = transform(Command::Archive, &rules(Action::Refuse));
    assert_eq!(command, Command::Archive);
}
