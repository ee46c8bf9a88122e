//! Many tasks that work at the same time: their results, or the first failure.

use std::future::Future;

use confab_kit::task;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::Failure;

/// See the module. Dropping it ends whoever still works.
pub(super) struct Crew<T> {
    name: &'static str,
    tell: Option<mpsc::UnboundedSender<Result<T, Failure>>>,
    told: mpsc::UnboundedReceiver<Result<T, Failure>>,
    tasks: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Crew<T> {
    pub(super) fn new(name: &'static str) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self { name, tell: Some(tell), told, tasks: Vec::new() }
    }

    /// Starts one more.
    pub(super) fn add(&mut self, work: impl Future<Output = Result<T, Failure>> + Send + 'static) {
        let Some(tell) = self.tell.clone() else { return };
        let work = async move {
            // Nobody listens any more after a failure of another one.
            let _unheard = tell.send(work.await);
        };
        self.tasks.push(task::spawn(self.name, work));
    }

    /// Waits until all are done, or one has failed.
    async fn collect(&mut self, done: &mut Vec<T>) -> Result<(), Failure> {
        self.tell = None;
        while let Some(result) = self.told.recv().await {
            done.push(result?);
        }
        if done.len() == self.tasks.len() {
            return Ok(());
        }
        Err(format!("a task of {} ended without a result", self.name).into())
    }

    /// All results, in the order in which they came.
    pub(super) async fn all(mut self) -> Result<Vec<T>, Failure> {
        let mut done = Vec::with_capacity(self.tasks.len());
        self.collect(&mut done).await?;
        Ok(done)
    }

    /// Runs something beside them: all that they told, and what it returned.
    /// The first failure of either ends both.
    pub(super) async fn beside<R>(
        mut self,
        main: impl Future<Output = Result<R, Failure>>,
    ) -> Result<(Vec<T>, R), Failure> {
        let mut done = Vec::with_capacity(self.tasks.len());
        let result = {
            let working = self.collect(&mut done);
            tokio::pin!(main, working);
            tokio::select! {
                result = &mut main => {
                    let result = result?;
                    working.await?;
                    result
                }
                ended = &mut working => {
                    ended?;
                    main.await?
                }
            }
        };
        Ok((done, result))
    }
}

impl<T> Drop for Crew<T> {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_results_come_or_the_first_failure() {
        let mut crew = Crew::new("test");
        for number in 0..10 {
            crew.add(async move { Ok(number) });
        }
        let (mut done, beside) = crew.beside(async { Ok("beside") }).await.expect("well");
        done.sort_unstable();
        assert_eq!((done, beside), ((0..10).collect(), "beside"));

        let mut crew: Crew<()> = Crew::new("test");
        crew.add(std::future::pending());
        crew.add(async { Err("on purpose".into()) });
        assert!(crew.all().await.is_err_and(|error| error.to_string() == "on purpose"));
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let mut crew: Crew<()> = Crew::new("test");
        crew.add(async { panic!("on purpose") });
        assert!(crew.beside(async { Ok(()) }).await.is_err());
    }
}
