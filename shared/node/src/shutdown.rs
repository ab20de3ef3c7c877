//! Shutdown: one signal that all tasks hear, and tasks that have an owner and drain.

use std::{io, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// The signal to end. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A signal that was not given.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Gives the signal. Once given it stays.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was given.
    pub fn is_started(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is given; may be dropped and called again.
    pub async fn wait(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`: waiting cannot fail.
        let _ = receiver.wait_for(|started| *started).await;
    }

    /// Listens for SIGTERM and SIGINT from now on; the future gives the signal at the first of them, and
    /// ends after that or when it was given otherwise. To be called before the node says that it is
    /// ready: until then a signal ends the process without draining.
    pub fn on_signals(&self) -> io::Result<impl Future<Output = ()> + use<>> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = self.clone();
        Ok(async move {
            tokio::select! {
                _ = term.recv() => tracing::info!("SIGTERM: shutting down"),
                _ = int.recv() => tracing::info!("SIGINT: shutting down"),
                () = shutdown.wait() => {}
            }
            shutdown.start();
        })
    }
}

/// Tasks with an owner. Dropped, they are aborted.
#[derive(Debug, Default)]
pub struct Tasks(JoinSet<&'static str>);

impl Tasks {
    /// No task yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task; `name` is for the log.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            task.await;
            name
        });
    }

    /// How many tasks run, or ended unseen.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no task is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next task that ends: its name, or `None` when none is left. A panic is logged and skipped.
    pub async fn next_ended(&mut self) -> Option<&'static str> {
        loop {
            match self.0.join_next().await? {
                Ok(name) => return Some(name),
                Err(error) => tracing::error!(%error, "a task did not end by itself"),
            }
        }
    }

    /// Waits for all tasks, at most `patience`; aborts the rest. Returns how many were aborted.
    pub async fn drain(mut self, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        while let Ok(ended) = timeout_at(deadline, self.next_ended()).await {
            if ended.is_none() {
                return 0;
            }
        }
        let aborted = self.0.len();
        tracing::warn!(aborted, "tasks did not end in time");
        self.0.shutdown().await;
        aborted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tasks_drain_or_are_aborted() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new();
        let heard = shutdown.clone();
        tasks.spawn("obedient", async move { heard.wait().await });
        tasks.spawn("deaf", std::future::pending());
        assert!(!shutdown.is_started());
        shutdown.start();
        assert_eq!(tasks.drain(Duration::from_secs(5)).await, 1);
        shutdown.wait().await;
    }
}
