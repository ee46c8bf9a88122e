//! The parts of a text: mentions that the client has marked, and mentions, links
//! and hashtags that are found. What is marked wins over what is found, and what
//! is found first over what begins inside of it.

use std::ops::Range;

use confab_log::{
    UserId,
    event::{Entity, EntityKind},
};
use linkify::{LinkFinder, LinkKind};

/// Parts of one text, at most; more are not looked for.
const MAX_ENTITIES: usize = 100;
/// Mentions in one text, at most: each is a row of an index.
pub(crate) const MAX_MENTIONS: usize = 50;
/// Characters of a hashtag, at most.
const MAX_HASHTAG: usize = 100;

/// All parts, in order, without overlaps. `marked` are sound: see `convert`.
pub(super) fn find(text: &str, marked: Vec<Entity>) -> Vec<Entity> {
    let mut parts = marked;
    if !text.contains(['@', '#', ':']) {
        return parts;
    }
    let mut mentions = parts.len();
    for (range, kind) in links(text).chain(names(text)) {
        if parts.len() >= MAX_ENTITIES {
            break;
        }
        let is_mention = matches!(kind, EntityKind::Mention(_));
        if parts.iter().any(|part| overlap(part, &range)) || is_mention && mentions >= MAX_MENTIONS
        {
            continue;
        }
        mentions += usize::from(is_mention);
        parts.extend(entity(&range, kind));
    }
    parts.sort_unstable_by_key(|part| part.start);
    parts
}

fn entity(range: &Range<usize>, kind: EntityKind) -> Option<Entity> {
    let (start, end) = (u32::try_from(range.start).ok()?, u32::try_from(range.end).ok()?);
    Some(Entity { start, end, kind })
}

fn overlap(part: &Entity, range: &Range<usize>) -> bool {
    (part.start as usize) < range.end && range.start < part.end as usize
}

type Found = (Range<usize>, EntityKind);

fn links(text: &str) -> impl Iterator<Item = Found> {
    addresses(text).map(|range| (range.clone(), EntityKind::Link(text[range].to_owned())))
}

/// Where addresses with the scheme http or https are.
pub(crate) fn addresses(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]);
    let links: Vec<_> = finder
        .links(text)
        .filter(|link| is_web(link.as_str()))
        .map(|link| link.start()..link.end())
        .collect();
    links.into_iter()
}

fn is_web(address: &str) -> bool {
    let scheme = address.split(':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// `@user` and `#tag` where a word can begin.
fn names(text: &str) -> impl Iterator<Item = Found> {
    text.char_indices().filter(|(_, c)| matches!(c, '@' | '#')).filter_map(|(at, sign)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == sign) {
            return None;
        }
        let rest = &text[at + 1..];
        let (length, kind) = if sign == '@' { mention(rest)? } else { hashtag(rest)? };
        Some((at..at + 1 + length, kind))
    })
}

/// As much as can be a user's id, without the punctuation that ends a sentence.
fn mention(rest: &str) -> Option<(usize, EntityKind)> {
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.:@+|=".contains(c)))
        .unwrap_or(rest.len());
    let name = rest[..end].trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    Some((name.len(), EntityKind::Mention(UserId::parse(name).ok()?)))
}

/// Letters, digits and underscores, not only digits.
fn hashtag(rest: &str) -> Option<(usize, EntityKind)> {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let tag = &rest[..end];
    let good = tag.chars().any(char::is_alphabetic) && tag.chars().count() <= MAX_HASHTAG;
    good.then(|| (tag.len(), EntityKind::Hashtag(tag.to_lowercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let show = |part: &Entity| {
            let place = &text[part.start as usize..part.end as usize];
            match &part.kind {
                EntityKind::Mention(user) => format!("{place} mentions {user}"),
                EntityKind::Link(address) => format!("{place} links {address}"),
                EntityKind::Hashtag(tag) => format!("{place} tags {tag}"),
            }
        };
        find(text, Vec::new()).iter().map(show).collect()
    }

    #[test]
    fn mentions_end_where_sentences_do() {
        assert_eq!(
            found("hi @bob, ask @ann.lee."),
            ["@bob mentions bob", "@ann.lee mentions ann.lee"]
        );
        assert_eq!(found("(@auth0|42): @x_"), ["@auth0|42 mentions auth0|42", "@x_ mentions x_"]);
        assert!(found("mail bob@example.com or @ or @@x or é@x").is_empty());
    }

    #[test]
    fn hashtags_are_words() {
        assert_eq!(
            found("#Tea at #5pm, #Grün"),
            ["#Tea tags tea", "#5pm tags 5pm", "#Grün tags grün"]
        );
        assert!(found("#1 a#b ## #").is_empty());
        assert!(found(&format!("#{}", "x".repeat(101))).is_empty());
    }

    #[test]
    fn links_hold_what_is_in_them() {
        let text = "see https://example.com/@bob#top, or HTTP://x.org.";
        let links = [
            "https://example.com/@bob#top links https://example.com/@bob#top",
            "HTTP://x.org links HTTP://x.org",
        ];
        assert_eq!(found(text), links);
        assert!(found("javascript:alert(1) ftp://x.org data:text/html,x").is_empty());
    }

    #[test]
    fn what_is_marked_stays() {
        let kind = EntityKind::Mention(UserId::parse("u-17").expect("an id"));
        let marked = vec![Entity { start: 3, end: 7, kind }];
        assert_eq!(find("hi @Bob #tea", marked.clone()).first(), marked.first());
        assert_eq!(find("hi @Bob #tea", marked).len(), 2);
    }

    #[test]
    fn there_is_a_bound() {
        let words: Vec<String> = (0..300).map(|n| format!("@u{n} #t{n}a")).collect();
        let text = words.join(" ");
        let parts = find(&text, Vec::new());
        assert_eq!(parts.len(), MAX_ENTITIES);
        let mentions = parts.iter().filter(|part| matches!(part.kind, EntityKind::Mention(_)));
        assert_eq!(mentions.count(), MAX_MENTIONS);
        assert!(parts.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
