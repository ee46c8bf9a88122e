//! What happens to a message between its validation and the log: content rules
//! are applied, HTML is sanitised, parts of the text are found. Pure: it is given
//! the rules. The digest of a command is made before, of what the client sent.

mod bidi;
mod entities;
mod html;

pub(crate) use bidi::{MAX_CONTROLS, openings};
pub(crate) use entities::{MAX_MENTIONS, addresses as links};
#[cfg(test)]
pub(crate) use html::sanitised;
pub(crate) use html::{MAX_TAGS, plain as plain_of_html};

use confab_log::{Command, Content, Refusal};

use crate::rules::Rules;

/// A command as it is to be decided, and what the tenant's rules say against it.
pub(crate) fn transform(command: Command, rules: &Rules) -> (Command, Option<Refusal>) {
    match command {
        Command::Send { content, reply_to, thread, .. } => {
            let (content, flags, veto) = content_of(content, rules);
            (Command::Send { content, reply_to, thread, flags }, veto)
        }
        Command::Edit { target, content, .. } => {
            let (content, flags, veto) = content_of(content, rules);
            (Command::Edit { target, content, flags }, veto)
        }
        other => (other, None),
    }
}

fn content_of(content: Content, rules: &Rules) -> (Content, Vec<String>, Option<Refusal>) {
    let mut content = content;
    content.html = content.html.map(|html| html::sanitised(&html));
    let verdict = rules.judge(&content);
    for range in &verdict.masked {
        mask(&mut content.text, range);
    }
    if verdict.html_matches {
        content.html = None;
    }
    bidi::close(&mut content.text);
    content.entities = entities::find(&content.text, content.entities);
    (content, verdict.flags, verdict.refused.map(|rule| Refusal::ContentRefused { rule }))
}

/// One `*` for each byte, so that what follows keeps its place.
fn mask(text: &mut String, range: &std::ops::Range<usize>) {
    text.replace_range(range.clone(), &"*".repeat(range.len()));
}

#[cfg(test)]
mod tests;
