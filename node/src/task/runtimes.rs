//! The threads that pipelines run on: one runtime each, at most one per core.
//!
//! A task begins on one of them and stays there, so nothing on its path is shared or locked. Tasks of
//! one thread take turns after each slice of work; one that panics is reported and leaves the others
//! alone.

use std::io;
use std::num::NonZero;
use std::thread::{self, JoinHandle};

use futures_util::future::LocalBoxFuture;
use millrace_io::driver::{Driver, Runtime};
use tokio::sync::mpsc;

use super::state::{StateCell, TaskState};

/// Makes the future of a task on the thread that will run it.
type Begin = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

struct Order {
    begin: Begin,
    connector: String,
    state: StateCell,
}

struct Worker {
    orders: mpsc::UnboundedSender<Order>,
    thread: JoinHandle<()>,
}

/// The running threads. Dropping without [`Runtimes::join`] leaves them to themselves.
pub(crate) struct Runtimes {
    workers: Vec<Worker>,
    driver: Driver,
    next: usize,
}

impl Runtimes {
    /// Starts a thread per core, but no more than there are `tasks`.
    ///
    /// # Errors
    /// When the system gives no thread, or no runtime for it.
    pub(crate) fn start(driver: Driver, tasks: usize) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let workers = (0..tasks.clamp(1, cores)).map(|index| Worker::start(driver, index));
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, driver, next: 0 })
    }

    /// What drives their sockets.
    pub(crate) fn driver(&self) -> Driver {
        self.driver
    }

    /// Runs a task on the next thread in turn. A panic in it becomes its state.
    pub(crate) fn spawn(
        &mut self,
        connector: &str,
        state: &StateCell,
        begin: impl FnOnce() -> LocalBoxFuture<'static, ()> + Send + 'static,
    ) {
        let index = self.next % self.workers.len().max(1);
        self.next = self.next.wrapping_add(1);
        let begin: Begin = Box::new(begin);
        let order = Order { begin, connector: connector.to_owned(), state: state.clone() };
        let taken = self.workers.get(index).is_some_and(|worker| worker.orders.send(order).is_ok());
        if !taken {
            state.set(TaskState::Failed("the thread for it has ended".into()));
        }
    }

    /// Waits until every task has ended.
    pub(crate) fn join(self) {
        for Worker { orders, thread } in self.workers {
            drop(orders);
            if thread.join().is_err() {
                tracing::error!("a thread of pipelines has panicked");
            }
        }
    }
}

impl Worker {
    fn start(driver: Driver, index: usize) -> io::Result<Self> {
        let (orders, received) = mpsc::unbounded_channel();
        let (say, heard) = std::sync::mpsc::sync_channel(1);
        let thread =
            thread::Builder::new().name(format!("pipelines-{index}")).spawn(move || {
                // The runtime belongs to its thread, so whether there is one is said from here.
                let runtime = match Runtime::new(driver) {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(say.send(Err(error))),
                };
                drop(say.send(Ok(())));
                runtime.block_on(serve(received));
            })?;
        let ended = || io::Error::other("the thread has ended before it began");
        heard.recv().map_err(|_| ended())??;
        Ok(Self { orders, thread })
    }
}

/// Begins every task that is ordered, and ends with the last of them once no more can be.
async fn serve(mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut watches = Vec::new();
    while let Some(Order { begin, connector, state }) = orders.recv().await {
        let task = tokio::task::spawn_local(async move { begin().await });
        watches.push(tokio::task::spawn_local(async move {
            if task.await.is_err() {
                tracing::error!("connector {connector} failed: its task has panicked");
                state.set(TaskState::Failed("its task has panicked".into()));
            }
        }));
    }
    for watch in watches {
        drop(watch.await);
    }
}

#[cfg(test)]
mod tests {
    use millrace_io::driver::DriverChoice;

    use super::*;

    #[test]
    fn task_that_panics_fails_alone() {
        for driver in [Driver::Epoll, DriverChoice::Uring.resolve().0] {
            let mut runtimes = Runtimes::start(driver, 1).unwrap();
            let (bad, good) = (StateCell::new(), StateCell::new());
            runtimes.spawn("bad", &bad, || Box::pin(async { panic!("on purpose") }));
            let done = good.clone();
            runtimes.spawn("good", &good, move || {
                Box::pin(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    done.set(TaskState::Stopped);
                })
            });
            runtimes.join();
            assert_eq!(bad.read(), TaskState::Failed("its task has panicked".into()));
            assert_eq!(good.read(), TaskState::Stopped);
        }
    }

    #[test]
    fn there_are_never_more_threads_than_tasks_or_cores() {
        let cores = thread::available_parallelism().unwrap().get();
        for tasks in [0, 1, cores, cores + 5] {
            let runtimes = Runtimes::start(Driver::Epoll, tasks).unwrap();
            assert_eq!(runtimes.workers.len(), tasks.clamp(1, cores));
            runtimes.join();
        }
    }
}
