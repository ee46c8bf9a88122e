//! Steps in words, for the trace of a failure. Nothing here is checked.

use confab_log::{
    Event, Row,
    appender::{Done, Io},
};

use super::{checks::Law, scenario::What, store::Write};

impl Law<'_> {
    pub(super) fn ask(&self, ask: usize) -> String {
        match &self.scenario.asks[ask].what {
            What::Command(request) => format!(
                "ask {ask} ({} {}: {:?})",
                request.actor, request.request_id, request.command
            ),
            What::Read(keys) => format!("ask {ask} (read {keys:?})"),
        }
    }

    #[expect(clippy::unused_self, reason = "words are asked of the law, all of them")]
    pub(super) fn name(&self, write: &Write) -> String {
        match write {
            Write::Append(events) => format!("append {}", names(events)),
            Write::Row(seq, key, _) => format!("effect of {seq} on {key:?}"),
            Write::Blank(seq, edit) => format!("effect of {seq}: blank edit {edit}"),
            Write::Inbox(seq, effect) => format!("effect of {seq} on inbox: {effect:?}"),
            Write::Index(seq, entry) => format!("effect of {seq} on index: {entry:?}"),
            Write::Raise(seq) => format!("raise applied_through to {seq}"),
        }
    }

    pub(super) fn io(&self, io: &Io) -> String {
        match io {
            Io::Look => "look at the head".to_owned(),
            Io::Read { from, to } => format!("read {from}..={to}"),
            Io::Load(keys) => format!("load {keys:?}"),
            Io::Append(events) => format!("append {}", names(events)),
            Io::Apply(event, effects) => {
                let parts = Write::parts(&Io::Apply(event.clone(), effects.clone()));
                let parts: Vec<_> = parts.iter().map(|part| self.name(part)).collect();
                parts.join(", ")
            }
            Io::Raise(seq) => format!("raise applied_through to {seq}"),
        }
    }

    #[expect(clippy::unused_self, reason = "words are asked of the law, all of them")]
    pub(super) fn done(&self, done: &Done) -> String {
        match done {
            Done::Read(rows) => format!("rows {}", names(rows)),
            Done::Loaded(rows) => {
                let rows = rows.iter();
                let rows: Vec<_> = rows
                    .map(|(key, row)| {
                        format!("{key:?} at {:?}", row.as_ref().map(Row::applied_seq))
                    })
                    .collect();
                format!("loaded {}", rows.join(", "))
            }
            other => format!("{other:?}"),
        }
    }
}

fn names(events: &[Event]) -> String {
    let names: Vec<_> = events
        .iter()
        .map(|event| {
            let body = format!("{:?}", event.body);
            let kind = body.split(['(', ' ']).next().unwrap_or_default();
            format!("[{} {} {} {kind}]", event.seq, event.actor, event.request_id)
        })
        .collect();
    names.join(" ")
}
