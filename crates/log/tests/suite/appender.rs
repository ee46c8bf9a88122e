//! What the model does not reach: sizes.

use std::{num::NonZeroU64, sync::Arc};

use confab_log::{
    Appender, Event, Row, RowKey, Seq,
    appender::{AppendBounds, Done, Io, Options, Outcome},
    event::{Kind, Role},
};

use crate::common::{Whole, create, request, send};

/// Answers an appender's I/O from a log whose effects are all applied.
fn answer(io: &Io, log: &[Event], page: usize) -> Done {
    let head = log.len() as Seq;
    match io {
        Io::Look => Done::Looked { head, applied_through: head },
        Io::Read { from, to } => {
            let rows = log.iter().filter(|event| (*from..=*to).contains(&event.seq));
            Done::Read(rows.take(page).cloned().collect())
        }
        Io::Load(keys) => {
            let row = |key: &RowKey| match key {
                RowKey::Message(_) => None,
                _ => whole(log).rows.get(key).cloned(),
            };
            Done::Loaded(
                keys.iter()
                    .map(|key| (key.clone(), row(key)))
                    .collect::<Vec<(RowKey, Option<Row>)>>(),
            )
        }
        Io::Append(_) => Done::Failed,
        Io::Apply(..) => Done::Applied,
        Io::Raise(_) => Done::Raised,
    }
}

fn whole(log: &[Event]) -> Whole {
    let mut whole = Whole::default();
    for event in log {
        whole.apply(event);
    }
    whole
}

fn log(messages: usize) -> Vec<Event> {
    let (mut whole, mut log) = (Whole::default(), Vec::new());
    let mut take = |id: &str, command| {
        let decision = whole.run(&request("o", id, command), 1000);
        let confab_log::Decision::Append(event) = decision else { panic!("refused") };
        log.push(*event);
    };
    take("create", create(Kind::Group, &[("o", Role::Owner)]));
    for number in 0..messages {
        take(&format!("send{number}"), send("hello"));
    }
    log
}

fn run(appender: &mut Appender, log: &[Event], page: usize) -> Vec<Outcome> {
    for _ in 0..1000 {
        let Some(io) = appender.poll(2000) else {
            return appender.take_answers().into_iter().map(|(_, outcome)| outcome).collect();
        };
        appender.complete(answer(&io, log, page));
    }
    panic!("it does not come to an end");
}

#[test]
fn a_group_that_names_more_rows_than_are_kept_is_answered() {
    let log = log(1);
    let mut appender = Appender::new(Options::default());
    for read in 0..10 {
        let keys = (0..1000).map(|seq| RowKey::Message(10 + read * 1000 + seq));
        appender.observe(keys.collect());
    }
    let answers = run(&mut appender, &log, usize::MAX);
    assert_eq!(answers.len(), 10);
    let observed = |outcome: &Outcome| matches!(outcome, Outcome::Observed { as_of: 2, .. });
    assert!(answers.iter().all(observed));
}

#[test]
fn short_pages_are_read_on_or_are_a_failure_but_never_a_circle() {
    let log = log(20);
    let retry = request("o", "send3", send("hello"));
    // All pages are long enough, so the old answer is found ...
    let mut appender = Appender::new(Options::default());
    appender.submit(Arc::new(retry.clone()));
    let known = Outcome::Committed { seq: 5, event: None };
    assert_eq!(run(&mut appender, &log, usize::MAX), [known]);
    // ... and a store that breaks its word is an error.
    let mut appender = Appender::new(Options::default());
    appender.submit(Arc::new(retry));
    assert_eq!(run(&mut appender, &log, 3), [Outcome::Unavailable { settled: true }]);
}

#[test]
fn readers_who_wait_together_share_a_look() {
    const READERS: usize = 1000;
    let log = log(1);
    let options = Options::default();
    // The first one's look, and one for each group of those who came during it.
    let due = 1 + (READERS - 1).div_ceil(options.group);
    assert_eq!(due, 5);
    let mut appender = Appender::new(options);
    appender.observe(Vec::new());
    let (mut looks, mut answers) = (0, Vec::new());
    while let Some(io) = appender.poll(2000) {
        if io == Io::Look {
            looks += 1;
            // All others come while the first one's look is under way.
            let late = if looks == 1 { READERS - 1 } else { 0 };
            for _ in 0..late {
                appender.observe(Vec::new());
            }
        }
        appender.complete(answer(&io, &log, usize::MAX));
        answers.extend(appender.take_answers());
    }
    answers.extend(appender.take_answers());
    assert_eq!((looks, answers.len()), (due, READERS));
}

#[test]
fn the_participants_are_counted_once_the_conversation_is_named() {
    let log = log(1);
    let mut appender = Appender::new(Options::default());
    assert_eq!(appender.participant_count(), None);
    appender.observe(vec![RowKey::Message(2)]);
    run(&mut appender, &log, usize::MAX);
    assert_eq!(appender.participant_count(), None, "nobody has named it");
    appender.observe(vec![RowKey::Conversation]);
    run(&mut appender, &log, usize::MAX);
    assert_eq!(appender.participant_count(), Some(1));
}

/// Runs an appender against a log that takes what it is given, and says how many
/// events each append had.
fn run_on(appender: &mut Appender, log: &mut Vec<Event>) -> (Vec<Outcome>, Vec<usize>) {
    let mut appends = Vec::new();
    for _ in 0..1000 {
        let Some(io) = appender.poll(2000) else {
            let answers = appender.take_answers().into_iter().map(|(_, outcome)| outcome);
            return (answers.collect(), appends);
        };
        let done = if let Io::Append(events) = &io {
            appends.push(events.len());
            log.extend(events.iter().cloned());
            Done::Appended(true)
        } else {
            answer(&io, log, usize::MAX)
        };
        appender.complete(done);
    }
    panic!("it does not come to an end");
}

fn send_all(append: AppendBounds, texts: &[&str]) -> (Vec<Outcome>, Vec<usize>) {
    let mut log = log(2);
    let mut appender = Appender::new(Options { append, ..Options::default() });
    for (number, text) in texts.iter().enumerate() {
        appender.submit(Arc::new(request("o", &format!("more{number}"), send(text))));
    }
    run_on(&mut appender, &mut log)
}

fn seqs(outcomes: &[Outcome]) -> Vec<Seq> {
    let seq = |outcome: &Outcome| match outcome {
        Outcome::Committed { seq, .. } => *seq,
        other => panic!("{other:?}"),
    };
    outcomes.iter().map(seq).collect()
}

#[test]
fn an_append_stays_in_one_partition() {
    let append = AppendBounds { partition_rows: NonZeroU64::new(4), ..AppendBounds::default() };
    let (outcomes, appends) = send_all(append, &["hello"; 7]);
    assert_eq!(appends, [1, 4, 2], "rows 4, 5 to 8, 9 to 10");
    assert_eq!(seqs(&outcomes), (4..=10).collect::<Vec<_>>(), "in the order they came");
}

#[test]
fn an_append_is_not_larger_than_it_may_be() {
    let large = "x".repeat(600);
    let append = AppendBounds { bytes: Some(1000), ..AppendBounds::default() };
    let (outcomes, appends) = send_all(append.clone(), &["a", &large, &large, "b", "c"]);
    assert_eq!(appends, [2, 3]);
    assert_eq!(seqs(&outcomes), (4..=8).collect::<Vec<_>>());
    let larger = "x".repeat(2000);
    let (_, appends) = send_all(append, &["a", &larger, "b"]);
    assert_eq!(appends, [1, 1, 1], "what is too large by itself goes alone");
}
