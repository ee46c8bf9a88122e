//! Links to hosts, as a browser understands them: by the URL standard, which
//! forgives much (`https:/\\host`, a tab in the middle, percent signs, letters
//! that only look different).

use std::{collections::HashSet, ops::Range};

use url::Url;

use crate::transform;

/// Hosts of a rule, with all that is below them.
#[derive(Debug)]
pub(super) struct Hosts(HashSet<String>);

impl Hosts {
    pub(super) fn new(hosts: &[String]) -> Self {
        let spelled = |host: &String| host_of(&format!("http://{host}/"));
        Self(hosts.iter().map(|host| spelled(host).unwrap_or_else(|| host.clone())).collect())
    }

    /// Where a text links to one of them.
    pub(super) fn links(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        transform::links(text).filter_map(|range| {
            // Others may take more of the text for the address than we do.
            let word = text[range.start..].find(char::is_whitespace);
            let word = range.start..word.map_or(text.len(), |length| range.start + length);
            [range, word].into_iter().find(|range| self.has(&text[range.clone()]))
        })
    }

    /// Whether an address in sanitised HTML links to one of them.
    pub(super) fn are_linked(&self, html: &str) -> bool {
        html.split("href=\"").skip(1).any(|rest| {
            let address = rest.split('"').next().unwrap_or_default();
            self.has(&address.replace("&nbsp;", "\u{a0}").replace("&amp;", "&"))
        })
    }

    fn has(&self, address: &str) -> bool {
        let Some(host) = host_of(address) else { return false };
        let mut name = host.as_str();
        loop {
            if self.0.contains(name) {
                return true;
            }
            match name.split_once('.') {
                Some((_, above)) => name = above,
                None => return false,
            }
        }
    }
}

/// In lower case and in ASCII.
fn host_of(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    url.host_str().map(|host| host.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(&["evil.example".to_owned(), "b\u{f6}se.example".to_owned()])
    }

    #[test]
    fn hosts_stand_for_what_is_below_them() {
        for address in [
            "https://evil.example",
            "http://www.EVIL.example:8080/x?y",
            "https://user@evil.example/#f",
            "https://evil.example./",
            "https://xn--bse-sna.example/",
            "https://B\u{d6}SE.example/",
            "https://ev\u{ad}il.example",
            "https://evil\u{3002}example/x",
            "https://\u{ff45}vil.example",
            "https://evil%2Eexample/",
        ] {
            assert_eq!(hosts().links(&format!("see {address} now")).count(), 1, "{address}");
        }
        for address in [
            "https://notevil.example",
            "https://evil.example.org",
            "https://good.example/?next=evil.example",
            "evil.example",
        ] {
            assert_eq!(hosts().links(address).count(), 0, "{address}");
        }
    }

    #[test]
    fn html_links_as_a_browser_follows_it() {
        for address in [
            "https://ev&#9;il.example",
            "https:/\\evil.example",
            "https:\\\\evil.example",
            "https:evil.example",
            "https://evil%2Eexample?a&b",
        ] {
            let html = crate::transform::sanitised(&format!("<a href=\"{address}\">x</a>"));
            assert!(hosts().are_linked(&html), "{address}: {html}");
        }
        assert!(!hosts().are_linked("<a href=\"https://good.example/\">evil.example</a>"));
    }
}
