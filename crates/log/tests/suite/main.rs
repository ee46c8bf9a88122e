//! Tests of the log's pure parts, through their public names. The protocol that
//! appends is tested by the model in `/tests`.

mod appender;
mod common;
mod format;
mod ids;
mod kinds;
mod properties;
mod rules;
