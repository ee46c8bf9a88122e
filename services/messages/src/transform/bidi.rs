//! Bidirectional controls: a text that opens an embedding, an override or an
//! isolate and does not close it reorders whatever is shown after it. The server
//! closes what is left open, after the rules of Unicode's UAX #9.

const EMBEDDINGS: [char; 4] = ['\u{202a}', '\u{202b}', '\u{202d}', '\u{202e}'];
const POP_EMBEDDING: char = '\u{202c}';
const ISOLATES: [char; 3] = ['\u{2066}', '\u{2067}', '\u{2068}'];
const POP_ISOLATE: char = '\u{2069}';

/// How many there may be in a text: what is longer is no language.
pub(crate) const MAX_CONTROLS: usize = 100;

/// How many controls that open something a text holds.
pub(crate) fn openings(text: &str) -> usize {
    text.chars().filter(|c| EMBEDDINGS.contains(c) || ISOLATES.contains(c)).count()
}

/// Appends what closes everything that is open at the end.
pub(super) fn close(text: &mut String) {
    if text.is_ascii() {
        return;
    }
    // What closes each level, the innermost last.
    let mut open: Vec<char> = Vec::new();
    for c in text.chars() {
        match c {
            _ if EMBEDDINGS.contains(&c) => open.push(POP_EMBEDDING),
            _ if ISOLATES.contains(&c) => open.push(POP_ISOLATE),
            // Closes the innermost level, if that is an embedding.
            POP_EMBEDDING => drop(open.pop_if(|closer| *closer == POP_EMBEDDING)),
            // Closes the innermost isolate and all embeddings in it.
            POP_ISOLATE => {
                if let Some(place) = open.iter().rposition(|closer| *closer == POP_ISOLATE) {
                    open.truncate(place);
                }
            }
            _ => {}
        }
    }
    text.extend(open.into_iter().rev());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(text: &str) -> String {
        let mut text = text.to_owned();
        close(&mut text);
        text
    }

    #[test]
    fn what_is_open_is_closed_in_order() {
        assert_eq!(closed("plain"), "plain");
        assert_eq!(closed("שלום"), "שלום");
        assert_eq!(closed("a\u{202e}b"), "a\u{202e}b\u{202c}");
        assert_eq!(closed("\u{2067}a\u{202b}b"), "\u{2067}a\u{202b}b\u{202c}\u{2069}");
        assert_eq!(closed("\u{202e}a\u{202c}"), "\u{202e}a\u{202c}");
        // The isolate ends with what was opened in it.
        assert_eq!(closed("\u{2067}a\u{202b}b\u{2069}"), "\u{2067}a\u{202b}b\u{2069}");
        // What closes nothing changes nothing.
        assert_eq!(closed("\u{2069}\u{202c}é"), "\u{2069}\u{202c}é");
    }
}
