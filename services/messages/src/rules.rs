//! A tenant's content rules: compiled, judged, and kept in memory for a moment.
//! Patterns are those of the `regex` crate, whose matching takes time in
//! proportion to the text, so no pattern of a tenant can stop a node.

mod cache;
mod hosts;

use std::ops::Range;

use confab_log::Content;
use minicbor::{Decode, Encode};
use regex::{Regex, RegexBuilder};

use crate::transform;

pub(crate) use cache::RulesCache;
use hosts::Hosts;

/// Bytes that one compiled pattern may take.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// How deep groups of a pattern may be nested.
const MAX_NESTING: u32 = 50;

/// One rule, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rule {
    /// Its name towards people.
    #[n(0)]
    pub name: String,
    /// What it looks for.
    #[n(1)]
    pub matcher: Matcher,
    /// What is done.
    #[n(2)]
    pub action: Action,
}

/// What a rule looks for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Matcher {
    /// Any of these words.
    #[n(0)]
    Words(#[n(0)] Vec<String>),
    /// A regular expression.
    #[n(1)]
    Pattern(#[n(0)] String),
    /// Links to these hosts or hosts below them.
    #[n(2)]
    Hosts(#[n(0)] Vec<String>),
}

/// What is done with what a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Action {
    /// The message is refused.
    #[n(1)]
    Refuse,
    /// It is shown to moderators.
    #[n(2)]
    Flag,
    /// What matches is hidden.
    #[n(3)]
    Mask,
}

/// What all rules together say of a content.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// The first rule that refuses it.
    pub(crate) refused: Option<String>,
    /// The rules that flag it.
    pub(crate) flags: Vec<String>,
    /// Bytes of the text to be hidden.
    pub(crate) masked: Vec<Range<usize>>,
    /// Something to be hidden is in the HTML.
    pub(crate) html_matches: bool,
}

/// Rules ready to judge.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Compiled>);

#[derive(Debug)]
struct Compiled {
    name: String,
    action: Action,
    finder: Finder,
}

#[derive(Debug)]
enum Finder {
    Pattern(Regex),
    Hosts(Hosts),
}

impl Rules {
    /// Compiles all, or says which one cannot be compiled and why.
    pub(crate) fn compile(rules: &[Rule]) -> Result<Self, (usize, String)> {
        let compiled = rules.iter().enumerate().map(|(index, rule)| {
            let finder = Finder::of(&rule.matcher).map_err(|why| (index, why))?;
            Ok(Compiled { name: rule.name.clone(), action: rule.action, finder })
        });
        Ok(Self(compiled.collect::<Result<_, _>>()?))
    }

    /// What the rules say of a content whose HTML is sanitised.
    pub(crate) fn judge(&self, content: &Content) -> Verdict {
        let mut verdict = Verdict::default();
        if self.0.is_empty() {
            return verdict;
        }
        let html = content.html.as_deref().map(|html| (html, transform::plain_of_html(html)));
        for rule in &self.0 {
            let in_text = rule.finder.find(&content.text);
            let in_html = html.as_ref().is_some_and(|(html, plain)| rule.finder.is_in(html, plain));
            if in_text.is_empty() && !in_html {
                continue;
            }
            match rule.action {
                Action::Refuse => {
                    verdict.refused.get_or_insert_with(|| rule.name.clone());
                }
                Action::Flag => verdict.flags.push(rule.name.clone()),
                Action::Mask => {
                    verdict.masked.extend(in_text);
                    verdict.html_matches |= in_html;
                }
            }
        }
        verdict
    }
}

impl Finder {
    fn of(matcher: &Matcher) -> Result<Self, String> {
        match matcher {
            Matcher::Words(words) => build(&pattern_of_words(words)).map(Self::Pattern),
            Matcher::Pattern(pattern) => build(pattern).map(Self::Pattern),
            Matcher::Hosts(hosts) => Ok(Self::Hosts(Hosts::new(hosts))),
        }
    }

    /// Where it matches; nothing of no length.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<_> = match self {
            Self::Pattern(pattern) => pattern.find_iter(text).map(|found| found.range()).collect(),
            Self::Hosts(hosts) => hosts.links(text).collect(),
        };
        found.retain(|range| !range.is_empty());
        found
    }

    /// Whether it matches what HTML shows, or an address in it.
    fn is_in(&self, html: &str, plain: &str) -> bool {
        !self.find(plain).is_empty() || matches!(self, Self::Hosts(hosts) if hosts.are_linked(html))
    }
}

/// Any of the words, with a boundary at each side that is a letter or a digit.
fn pattern_of_words(words: &[String]) -> String {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let bounded = words.iter().map(|word| {
        let before = if is_word(word.chars().next()) { r"\b" } else { "" };
        let after = if is_word(word.chars().next_back()) { r"\b" } else { "" };
        format!("{before}{}{after}", regex::escape(word))
    });
    format!("(?i:{})", bounded.collect::<Vec<_>>().join("|"))
}

fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "takes too much memory".to_owned(),
            _ => "is not a regular expression".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(matcher: Matcher, action: Action) -> Rule {
        Rule { name: "rule".to_owned(), matcher, action }
    }

    fn flags(matcher: Matcher, text: &str) -> bool {
        let rules = Rules::compile(&[rule(matcher, Action::Flag)]).expect("good rules");
        let content = Content { text: text.to_owned(), ..Content::default() };
        !rules.judge(&content).flags.is_empty()
    }

    #[test]
    fn words_are_whole_and_without_case() {
        let words = || Matcher::Words(vec!["ass".to_owned(), "ÄRGER".to_owned(), "$$$".to_owned()]);
        for text in ["ASS", "an ass.", "viel ärger", "win$$$now"] {
            assert!(flags(words(), text), "{text}");
        }
        for text in ["class", "assume", "ärgern", "$$"] {
            assert!(!flags(words(), text), "{text}");
        }
    }

    #[test]
    fn bombs_do_not_compile_or_do_not_explode() {
        let refused = |pattern: &str| {
            let rules = [rule(Matcher::Pattern(pattern.to_owned()), Action::Flag)];
            Rules::compile(&rules).expect_err("no rule").1
        };
        assert_eq!(refused("(((x{100}){100}){100})"), "takes too much memory");
        assert_eq!(refused(&"(".repeat(400)), "is not a regular expression");
        assert_eq!(refused("a(?=b)"), "is not a regular expression");
        // The classic one: time is in proportion to the text.
        assert!(!flags(
            Matcher::Pattern("^(a+)+$".to_owned()),
            &format!("{}!", "a".repeat(16_000))
        ));
    }

    #[test]
    fn what_matches_nothing_hides_nothing() {
        let rules = [rule(Matcher::Pattern("x*".to_owned()), Action::Mask)];
        let rules = Rules::compile(&rules).expect("good rules");
        let content = Content { text: "axxa".to_owned(), ..Content::default() };
        assert_eq!(rules.judge(&content).masked.first(), Some(&(1..3)));
    }
}
