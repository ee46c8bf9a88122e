//! Collects all that is wrong with a request, so that the caller learns it at
//! once. Knows the forms of names, no domain rules.

use confab_log::ids::{ConversationId, InvalidId, RequestId, UserId};

use crate::error::{Error, Violation};

/// All violations found so far.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes one.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// Takes the parsed name, or notes why it is none.
    pub fn parse<T>(
        &mut self,
        field: impl Into<String>,
        parsed: Result<T, InvalidId>,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.add(field, invalid.to_string());
                None
            }
        }
    }

    /// Notes a violation unless `ok`.
    pub fn check(&mut self, ok: bool, field: impl Into<String>, description: impl Into<String>) {
        if !ok {
            self.add(field, description);
        }
    }

    /// `INVALID_ARGUMENT` with all of them, if there are any.
    pub fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::invalid(self.0)) }
    }
}

/// The field `conversation_id`.
pub fn conversation_id(violations: &mut Violations, value: &str) -> Option<ConversationId> {
    violations.parse("conversation_id", ConversationId::parse(value))
}

/// A field that names a user.
pub fn user_id(violations: &mut Violations, field: &str, value: &str) -> Option<UserId> {
    violations.parse(field, UserId::parse(value))
}

/// The field `request_id`.
pub fn request_id(violations: &mut Violations, value: &str) -> Option<RequestId> {
    violations.parse("request_id", RequestId::parse(value))
}

/// The field `page_size`: 0 is the default, more than the maximum is the
/// maximum, less than 0 is a violation.
pub fn page_size(violations: &mut Violations, value: i32, default: usize, max: usize) -> usize {
    let Ok(size) = usize::try_from(value) else {
        violations.add("page_size", "must not be negative");
        return default;
    };
    if size == 0 { default } else { size.min(max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_violations_come_at_once() {
        let mut violations = Violations::default();
        assert_eq!(conversation_id(&mut violations, "nonsense"), None);
        assert_eq!(user_id(&mut violations, "user_id", ""), None);
        assert!(request_id(&mut violations, "fine-1").is_some());
        assert_eq!(page_size(&mut violations, -1, 50, 200), 50);
        violations.check(false, "content", "must not be empty");
        violations.check(true, "other", "fine");
        let error = violations.finish().expect_err("violations");
        let fields: Vec<&str> = error.violations().iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["conversation_id", "user_id", "page_size", "content"]);
    }

    #[test]
    fn page_sizes_have_a_default_and_a_maximum() {
        let mut violations = Violations::default();
        assert_eq!(page_size(&mut violations, 0, 50, 200), 50);
        assert_eq!(page_size(&mut violations, 7, 50, 200), 7);
        assert_eq!(page_size(&mut violations, 9999, 50, 200), 200);
        assert!(violations.finish().is_ok());
    }
}
