//! What is wrong with a configuration, in the words that it is written in: the
//! key as it stands in TOML or in the environment, and where it stands. Values
//! are not repeated: one may be a secret.

use figment::{
    Error,
    error::{Kind, OneOf},
};

/// One line for each thing that is wrong, the first first.
pub(super) fn explain(error: &Error) -> String {
    let lines: Vec<String> = error.clone().into_iter().map(|error| explain_one(&error)).collect();
    lines.join("\n")
}

fn explain_one(error: &Error) -> String {
    let place = Place::of(error);
    let key = place.key(&error.path);
    let what = match &error.kind {
        // Not about a key but about the whole file.
        Kind::Message(text) if error.path.is_empty() => text.trim_end().to_owned(),
        Kind::UnknownField(_, known) => {
            format!("there is no key {key}; known here are {}", OneOf(known))
        }
        // The name of a choice is no secret.
        Kind::UnknownVariant(found, known) => {
            format!("{key} cannot be `{found}`; it must be {}", OneOf(known))
        }
        Kind::InvalidType(_, wanted) | Kind::InvalidValue(_, wanted) => {
            format!("{key} must be {}", in_words(wanted))
        }
        Kind::MissingField(name) if error.path.is_empty() => format!("`{name}` is missing"),
        Kind::MissingField(name) => format!("`{name}` is missing in {key}"),
        other => format!("{key}: {other}"),
    };
    match place {
        Place::File(file) => format!("{file}: {what}"),
        Place::Environment | Place::Elsewhere => what,
    }
}

fn in_words(wanted: &str) -> &str {
    match wanted {
        "u16" | "u32" | "u64" | "usize" => "a whole number",
        "i64" => "a number",
        other => other,
    }
}

/// Where a value comes from.
enum Place {
    File(String),
    Environment,
    Elsewhere,
}

impl Place {
    fn of(error: &Error) -> Self {
        let Some(metadata) = &error.metadata else { return Self::Elsewhere };
        if let Some(file) = metadata.source.as_ref().and_then(|source| source.file_path()) {
            return Self::File(file.display().to_string());
        }
        if metadata.name.contains("environment variable") {
            return Self::Environment;
        }
        Self::Elsewhere
    }

    fn key(&self, path: &[String]) -> String {
        match self {
            Self::Environment => format!("`CONFAB_{}`", path.join("__").to_uppercase()),
            Self::File(_) | Self::Elsewhere => format!("`{}`", path.join(".")),
        }
    }
}
