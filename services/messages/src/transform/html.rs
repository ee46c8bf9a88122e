//! HTML by allow-list: what is left can be put into a page as it is. The list is
//! in the contract, at `Content.html`.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// Tags in one HTML, at most: a parser takes time in proportion to the square of
/// how deep they nest.
pub(crate) const MAX_TAGS: usize = 1000;

static SANITIZER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let tags = [
        "a",
        "b",
        "blockquote",
        "br",
        "code",
        "em",
        "i",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "strong",
        "u",
        "ul",
    ];
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(HashSet::from(tags))
        .clean_content_tags(HashSet::from(["script", "style"]))
        // By default `lang` and `title`, which nobody sees and no rule looks at.
        .generic_attributes(HashSet::new())
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"));
    builder
});

/// The HTML without what the allow-list does not know.
pub(crate) fn sanitised(html: &str) -> String {
    SANITIZER.clean(html).to_string()
}

/// The text that sanitised HTML shows.
pub(crate) fn plain(html: &str) -> String {
    let (mut text, mut inside) = (String::with_capacity(html.len()), false);
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&nbsp;", " "), ("&amp;", "&")];
    named.iter().fold(text, |text, (name, c)| text.replace(name, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_left() {
        assert_eq!(sanitised("<b>hi</b> <script>alert(1)</script>there"), "<b>hi</b> there");
        assert_eq!(sanitised("<p onclick=x style=y>a<br>b</p>"), "<p>a<br>b</p>");
        assert_eq!(sanitised("<b title=bad lang=xx>hi</b>"), "<b>hi</b>");
        assert_eq!(sanitised("<img src=x onerror=alert(1)>"), "");
        assert_eq!(
            sanitised("<a href=\"javascript:alert(1)\">x</a>"),
            "<a rel=\"noopener noreferrer nofollow\">x</a>"
        );
        assert_eq!(
            sanitised("<a href=/relative>x</a>"),
            "<a rel=\"noopener noreferrer nofollow\">x</a>"
        );
        assert_eq!(
            sanitised("<a href=\"https://example.com/?a=1&b=2\" target=_blank>x</a>"),
            "<a href=\"https://example.com/?a=1&amp;b=2\" rel=\"noopener noreferrer nofollow\">x</a>"
        );
        assert_eq!(sanitised("<svg><script>x</script><circle/></svg>"), "");
        assert_eq!(sanitised("1 < 2 & <b>3"), "1 &lt; 2 &amp; <b>3</b>");
    }

    #[test]
    fn what_is_shown_is_found() {
        assert_eq!(plain("<p>b<b>a</b>d &lt;b&gt; &amp;lt;</p>"), "bad <b> &lt;");
    }
}
