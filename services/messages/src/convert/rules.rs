//! Content rules between the contract and the domain.

use std::collections::BTreeSet;

use confab_kit::{clock, error::Error as KitError, validate::Violations};
use confab_proto::messages::v1::{self as pb, content_rule::Matcher as PbMatcher};

use crate::{
    rules::{Action, Matcher, Rule, Rules},
    store::StoredRules,
};

const MAX_RULES: usize = 100;
const MAX_NAME: usize = 64;
const MAX_ENTRIES: usize = 1000;
const MAX_WORD: usize = 64;
const MAX_PATTERN: usize = 1024;
/// Of a host name, by RFC 1035.
const MAX_HOST: usize = 253;

/// Rules to be stored, and the version that they replace.
#[derive(Debug)]
pub(crate) struct Replace {
    pub(crate) version: Option<u64>,
    pub(crate) rules: Vec<Rule>,
}

impl TryFrom<pb::UpdateContentRulesRequest> for Replace {
    type Error = KitError;

    fn try_from(request: pb::UpdateContentRulesRequest) -> Result<Self, KitError> {
        let mut v = Violations::default();
        let version = version(&mut v, &request.etag);
        v.check(request.rules.len() <= MAX_RULES, "rules", "must be at most 100");
        let mut names = BTreeSet::new();
        let mut rules = Vec::new();
        for (index, rule) in request.rules.into_iter().take(MAX_RULES).enumerate() {
            let field = format!("rules[{index}]");
            let first = names.insert(rule.name.clone());
            v.check(first, format!("{field}.name"), "must not be used twice");
            rules.extend(rule_from_pb(&mut v, &field, rule));
        }
        v.finish()?;
        if let Err((index, why)) = Rules::compile(&rules) {
            return Err(KitError::violation(format!("rules[{index}]"), why));
        }
        Ok(Self { version, rules })
    }
}

fn version(v: &mut Violations, etag: &str) -> Option<u64> {
    if etag.is_empty() {
        return None;
    }
    let version = etag.parse().ok().filter(|version: &u64| version.to_string() == etag);
    v.check(version.is_some(), "etag", "must be the etag of the rules");
    version
}

fn rule_from_pb(v: &mut Violations, field: &str, rule: pb::ContentRule) -> Option<Rule> {
    let named = (1..=MAX_NAME).contains(&rule.name.len())
        && rule.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    let form = "must have 1 to 64 characters of A-Z a-z 0-9 and -_.:";
    v.check(named, format!("{field}.name"), form);
    let action = match rule.action() {
        pb::ContentAction::Refuse => Some(Action::Refuse),
        pb::ContentAction::Flag => Some(Action::Flag),
        pb::ContentAction::Mask => Some(Action::Mask),
        pb::ContentAction::Unspecified => None,
    };
    v.check(action.is_some(), format!("{field}.action"), "must be an action");
    let matcher = match rule.matcher {
        Some(PbMatcher::Words(list)) => {
            let fit = |word: &str| (1..=MAX_WORD).contains(&word.len());
            check_entries(v, &format!("{field}.words"), &list.words, fit);
            Some(Matcher::Words(list.words))
        }
        Some(PbMatcher::Pattern(pattern)) => {
            let fits = (1..=MAX_PATTERN).contains(&pattern.len());
            v.check(fits, format!("{field}.pattern"), "must have 1 to 1,024 bytes");
            Some(Matcher::Pattern(pattern))
        }
        Some(PbMatcher::LinkHosts(list)) => {
            check_entries(v, &format!("{field}.link_hosts"), &list.hosts, is_host);
            Some(Matcher::Hosts(list.hosts))
        }
        None => {
            v.add(field, "must say what it looks for");
            None
        }
    };
    Some(Rule { name: rule.name, matcher: matcher?, action: action? })
}

fn check_entries(v: &mut Violations, field: &str, entries: &[String], fits: impl Fn(&str) -> bool) {
    v.check((1..=MAX_ENTRIES).contains(&entries.len()), field, "must be 1 to 1,000");
    let all_fit = entries.iter().all(|entry| fits(entry));
    v.check(all_fit, field, "must each be well-formed and not too long");
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.chars().any(|c| c.is_uppercase() || c.is_control())
    };
    host.len() <= MAX_HOST && host.split('.').all(label) && !host.contains(['/', ':', '@', ' '])
}

/// The rules as their tenant sees them.
pub(crate) fn rules_to_pb(stored: Option<StoredRules>) -> pb::ContentRules {
    let stored = stored.unwrap_or_default();
    pb::ContentRules {
        rules: stored.rules.into_iter().map(rule_to_pb).collect(),
        etag: stored.version.to_string(),
        update_time: (stored.version > 0).then(|| clock::timestamp(stored.time)),
    }
}

fn rule_to_pb(rule: Rule) -> pb::ContentRule {
    let action = match rule.action {
        Action::Refuse => pb::ContentAction::Refuse,
        Action::Flag => pb::ContentAction::Flag,
        Action::Mask => pb::ContentAction::Mask,
    };
    let matcher = match rule.matcher {
        Matcher::Words(words) => PbMatcher::Words(pb::WordList { words }),
        Matcher::Pattern(pattern) => PbMatcher::Pattern(pattern),
        Matcher::Hosts(hosts) => PbMatcher::LinkHosts(pb::HostList { hosts }),
    };
    pb::ContentRule { name: rule.name, matcher: Some(matcher), action: action.into() }
}
