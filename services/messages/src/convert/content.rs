//! What a message says, checked: that there is something to see, that it fits,
//! and that what the client has marked in it is there.

use std::sync::LazyLock;

use confab_kit::validate::Violations;
use confab_log::{
    Content, UserId,
    event::{Entity, EntityKind},
};
use confab_proto::messages::v1::{self as pb, entity::Kind};
use regex::Regex;

use super::Limits;
use crate::transform::{MAX_CONTROLS, MAX_MENTIONS, MAX_TAGS, openings};

const MAX_ATTRIBUTES: usize = 32;
const MAX_ATTRIBUTE_KEY: usize = 64;
const MAX_ATTRIBUTE_VALUE: usize = 1024;
/// HTML may have this many times the bytes of a text.
const HTML_FACTOR: usize = 4;

/// Something that is seen: no white space, no mark without a letter below it, no
/// control or format character, none of the letters that are drawn as nothing.
static VISIBLE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"[^\s\p{M}\p{Cc}\p{Cf}\u{115F}\u{1160}\u{3164}\u{FFA0}\u{2800}]").ok()
});
/// More marks on one letter than any language has: they cover what is around.
static STACKED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{M}{31}").ok());

fn finds(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

pub(super) fn content(
    v: &mut Violations,
    content: Option<pb::Content>,
    limits: Limits,
) -> Option<Content> {
    let Some(pb::Content { text, attributes, html, entities }) = content else {
        v.add("content", "must be there");
        return None;
    };
    let seen = text.bytes().any(|byte| byte.is_ascii_graphic()) || finds(&VISIBLE, &text);
    v.check(
        seen || !attributes.is_empty(),
        "content",
        "must have a text that can be seen or an attribute",
    );
    check_text(v, &text, limits);
    check_html(v, &html, seen, limits);
    v.check(attributes.len() <= MAX_ATTRIBUTES, "content.attributes", "must have at most 32 keys");
    let keys = attributes.keys().all(|key| (1..=MAX_ATTRIBUTE_KEY).contains(&key.len()));
    v.check(keys, "content.attributes", "must have keys of 1 to 64 bytes");
    let values = attributes.values().all(|value| value.len() <= MAX_ATTRIBUTE_VALUE);
    v.check(values, "content.attributes", "must have values of at most 1024 bytes");
    let entities = mentions(v, &text, entities);
    let html = Some(html).filter(|html| !html.is_empty());
    Some(Content { text, attributes, html, entities })
}

fn check_text(v: &mut Violations, text: &str, limits: Limits) {
    let fits = text.len() <= limits.text_bytes;
    v.check(fits, "content.text", format!("must have at most {} bytes", limits.text_bytes));
    v.check(!text.contains('\0'), "content.text", "must not contain NUL");
    if text.is_ascii() || !fits {
        return;
    }
    v.check(
        !finds(&STACKED, text),
        "content.text",
        "must not have more than 30 marks on one letter",
    );
    v.check(
        openings(text) <= MAX_CONTROLS,
        "content.text",
        format!("must not have more than {MAX_CONTROLS} bidirectional controls"),
    );
}

fn check_html(v: &mut Violations, html: &str, beside_text: bool, limits: Limits) {
    let most = limits.text_bytes * HTML_FACTOR;
    v.check(html.len() <= most, "content.html", format!("must have at most {most} bytes"));
    let tags = html.bytes().filter(|byte| *byte == b'<').count();
    v.check(tags <= MAX_TAGS, "content.html", format!("must have at most {MAX_TAGS} tags"));
    v.check(html.is_empty() || beside_text, "content.html", "must stand beside a text");
    v.check(!html.contains('\0'), "content.html", "must not contain NUL");
}

/// The mentions among what the client has marked, in order. The rest is ours to find.
fn mentions(v: &mut Violations, text: &str, entities: Vec<pb::Entity>) -> Vec<Entity> {
    let mut parts = Vec::new();
    for entity in entities {
        let Some(Kind::Mention(user)) = &entity.kind else { continue };
        if parts.len() == MAX_MENTIONS {
            v.add("content.entities", format!("must have at most {MAX_MENTIONS} mentions"));
            break;
        }
        let (start, end) = (entity.start as usize, entity.end as usize);
        let inside = start < end && text.is_char_boundary(start) && text.is_char_boundary(end);
        v.check(inside, "content.entities", "must begin and end between characters of the text");
        if let Some(user) = v.parse("content.entities.mention", UserId::parse(user)) {
            let kind = EntityKind::Mention(user);
            parts.push(Entity { start: entity.start, end: entity.end, kind });
        }
    }
    parts.sort_unstable_by_key(|part| part.start);
    let apart = parts.windows(2).all(|pair| pair[0].end <= pair[1].start);
    v.check(apart, "content.entities", "must not overlap");
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(content: pb::Content) -> Vec<String> {
        let mut v = Violations::default();
        super::content(&mut v, Some(content), Limits::default());
        match v.finish() {
            Ok(()) => Vec::new(),
            Err(error) => error.violations().iter().map(|v| v.field.clone()).collect(),
        }
    }

    fn text(text: &str) -> pb::Content {
        pb::Content { text: text.to_owned(), ..pb::Content::default() }
    }

    #[test]
    fn something_must_be_seen() {
        for nothing in ["", " \n\t", "\u{300}\u{301}", "\u{200b}\u{2060}", "\u{3164}", "\u{202e}"] {
            assert_eq!(violations(text(nothing)), ["content"], "{nothing:?}");
        }
        for something in ["x", "é", "שלום", "e\u{301}", "👍", "\u{e000}", "。"] {
            assert!(violations(text(something)).is_empty(), "{something:?}");
        }
    }

    #[test]
    fn marks_and_overrides_have_bounds() {
        assert!(violations(text(&format!("z{}", "\u{336}".repeat(30)))).is_empty());
        assert_eq!(violations(text(&format!("z{}", "\u{336}".repeat(31)))), ["content.text"]);
        assert_eq!(violations(text(&format!("z{}", "\u{202e}".repeat(101)))), ["content.text"]);
    }

    #[test]
    fn mentions_lie_in_the_text() {
        let marked = |parts: &[(u32, u32)]| {
            let entity = |(start, end): &(u32, u32)| pb::Entity {
                start: *start,
                end: *end,
                kind: Some(Kind::Mention("bob".to_owned())),
            };
            pb::Content { entities: parts.iter().map(entity).collect(), ..text("hé bob and bob") }
        };
        assert!(violations(marked(&[(12, 15), (4, 7)])).is_empty());
        for wrong in [(4, 4), (7, 4), (2, 7), (12, 16), (u32::MAX - 1, u32::MAX)] {
            assert_eq!(violations(marked(&[wrong])), ["content.entities"], "{wrong:?}");
        }
        assert_eq!(violations(marked(&[(4, 7), (6, 8)])), ["content.entities"]);
        let many = vec![(4, 7); 51];
        assert!(violations(marked(&many)).contains(&"content.entities".to_owned()));
    }

    #[test]
    fn html_stands_beside_a_text() {
        let html =
            |text: &str, html: &str| pb::Content { html: html.to_owned(), ..self::text(text) };
        assert!(violations(html("x", "<b>x</b>")).is_empty());
        assert_eq!(violations(html(" ", "<b>x</b>")), ["content", "content.html"]);
        assert_eq!(violations(html("x", &"x".repeat(70_000))), ["content.html"]);
    }
}
