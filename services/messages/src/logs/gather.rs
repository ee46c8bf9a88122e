//! How long a log waits before its next append. Senders who were answered together
//! come back together; without a wait the others' append has begun by then, and so
//! the two halves of a busy conversation go by turns, each in a batch of its own.
//!
//! The rule: after an append, the next one waits for as many commands as were
//! answered and waited then, but no longer than half of what the append took. The
//! fraction is PostgreSQL's advice for its `commit_delay`.
//!
//! Nobody waits alone: a single sender is all that were answered. Nor does anybody
//! where appends are fast, because a timer is good for no less than a millisecond.

use std::{collections::VecDeque, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// Of what an append took, the part that the next one waits, at most.
const PART: u32 = 2;
/// Shorter waits are left out.
const SHORTEST: Duration = Duration::from_millis(1);

/// What the last append says about the next one.
#[derive(Debug, Default)]
pub(super) struct Gather {
    took: Duration,
    /// Commands that are due, and until when they are waited for.
    wait: Option<(usize, Instant)>,
}

impl Gather {
    /// An append has ended.
    pub(super) fn appended(&mut self, took: Duration) {
        self.took = took;
    }

    /// So many commands, whose events were appended together, are answered, while so
    /// many others have come.
    pub(super) fn answered(&mut self, commands: usize, here: usize, now: Instant) {
        if commands > 0 {
            let wait = self.took / PART;
            self.wait = (wait >= SHORTEST).then_some((commands + here, now + wait));
        }
    }

    /// Takes what has come and, if commands among it wait, what comes meanwhile. There
    /// is no use in waiting for more than `most`.
    pub(super) async fn collect<T>(
        &mut self,
        arrived: &mut VecDeque<T>,
        queue: &mut mpsc::Receiver<T>,
        most: usize,
        is_command: impl Fn(&T) -> bool,
    ) {
        loop {
            drain(queue, arrived);
            if arrived.len() >= most {
                return;
            }
            let commands = arrived.iter().filter(|one| is_command(one)).count();
            let Some(until) = self.until(commands, Instant::now()) else { return };
            match timeout_at(until, queue.recv()).await {
                Ok(Some(one)) => arrived.push_back(one),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Until when the commands that are here wait for more, if they do.
    fn until(&self, here: usize, now: Instant) -> Option<Instant> {
        let (due, until) = self.wait?;
        (0 < here && here < due && now < until).then_some(until)
    }
}

/// Makes room in the queue, whose length is bounded.
pub(super) fn drain<T>(queue: &mut mpsc::Receiver<T>, arrived: &mut VecDeque<T>) {
    while let Ok(one) = queue.try_recv() {
        arrived.push_back(one);
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::oneshot,
        task::JoinSet,
        time::{advance, sleep},
    };

    use super::*;

    const LONG: Duration = Duration::from_millis(10);
    const MOST: usize = 256;

    type Asked = oneshot::Sender<()>;

    /// Asks so often, each time when the last one was answered.
    async fn sender(queue: mpsc::Sender<Asked>, times: usize) {
        for _ in 0..times {
            let (told, answer) = oneshot::channel();
            queue.send(told).await.expect("the log is there");
            answer.await.expect("an answer");
        }
    }

    /// A log whose appends take so long, and so many senders who begin one after the
    /// other: how many commands each append had.
    async fn appends(senders: usize, times: usize, took: Duration) -> Vec<usize> {
        let (asks, mut queue) = mpsc::channel(MOST);
        let mut sending = JoinSet::new();
        for number in 0..senders {
            let asks = asks.clone();
            sending.spawn(async move {
                sleep(took * u32::from(number >= senders / 2)).await;
                sender(asks, times).await;
            });
        }
        drop(asks);
        let (mut gather, mut sizes, mut arrived) = (Gather::default(), Vec::new(), VecDeque::new());
        loop {
            if arrived.is_empty() {
                let Some(first) = queue.recv().await else { break };
                arrived.push_back(first);
            }
            gather.collect(&mut arrived, &mut queue, MOST, |_| true).await;
            sleep(took).await;
            gather.appended(took);
            let answered: Vec<Asked> = arrived.drain(..).collect();
            sizes.push(answered.len());
            drain(&mut queue, &mut arrived);
            gather.answered(answered.len(), arrived.len(), Instant::now());
            for told in answered {
                told.send(()).expect("the sender waits");
            }
        }
        sending.join_all().await;
        sizes
    }

    #[tokio::test(start_paused = true)]
    async fn the_two_halves_of_a_busy_log_meet() {
        let sizes = appends(64, 20, LONG).await;
        assert_eq!(sizes.iter().sum::<usize>(), 64 * 20);
        let whole = sizes.iter().filter(|size| **size == 64).count();
        assert!(whole >= 17, "of 20 rounds nearly all are of all 64: {sizes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_sender_never_waits() {
        let begun = Instant::now();
        for _ in 0..=20 {
            sleep(LONG).await;
        }
        let (due, begun) = (begun.elapsed(), Instant::now());
        assert_eq!(appends(1, 20, LONG).await, [1; 20]);
        assert_eq!(begun.elapsed(), due, "it began after one append, and nothing else took time");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_where_appends_are_fast() {
        let (mut gather, now) = (Gather::default(), Instant::now());
        gather.appended(Duration::from_micros(1900));
        gather.answered(32, 32, now);
        assert_eq!(gather.until(32, now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_come_back_is_waited_for_once() {
        let (mut gather, begun) = (Gather::default(), Instant::now());
        let (asks, mut queue) = mpsc::channel(MOST);
        gather.appended(LONG);
        gather.answered(2, 0, begun);
        asks.send(()).await.expect("open");
        let mut arrived = VecDeque::new();
        gather.collect(&mut arrived, &mut queue, MOST, |()| true).await;
        let waited = begun.elapsed();
        assert_eq!(arrived.len(), 1);
        assert!((LONG / 2..LONG).contains(&waited), "{waited:?}");
        gather.appended(LONG);
        arrived.clear();
        gather.answered(1, 0, Instant::now());
        asks.send(()).await.expect("open");
        gather.collect(&mut arrived, &mut queue, MOST, |()| true).await;
        assert_eq!((arrived.len(), begun.elapsed()), (1, waited), "not again");
    }

    #[tokio::test(start_paused = true)]
    async fn reads_wait_for_nobody_nor_does_anybody_after_half_an_append() {
        let (mut gather, begun) = (Gather::default(), Instant::now());
        let (asks, mut queue) = mpsc::channel(MOST);
        gather.appended(LONG);
        gather.answered(64, 0, begun);
        asks.send("read").await.expect("open");
        let is_command = |what: &&str| *what == "command";
        let mut arrived = VecDeque::new();
        gather.collect(&mut arrived, &mut queue, MOST, is_command).await;
        advance(LONG / 2).await;
        asks.send("command").await.expect("open");
        gather.collect(&mut arrived, &mut queue, MOST, is_command).await;
        assert_eq!((arrived.len(), begun.elapsed()), (2, LONG / 2));
    }
}
