//! The threads that pipelines run on: one runtime each, at most one per core.
//!
//! A task begins on one of them and stays there, so nothing on its path is shared or locked. Tasks of
//! one thread take turns after each slice of work; one that panics is reported and leaves the others
//! alone.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use futures_util::future::LocalBoxFuture;
use millrace_io::driver::{Driver, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::state::{StateCell, TaskFailure, TaskState};

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
    /// Tasks that have been ordered and have not ended.
    tasks: Arc<AtomicUsize>,
}

/// The running threads. Dropping without [`Runtimes::join`] leaves them to themselves.
pub(crate) struct Runtimes {
    workers: Vec<Worker>,
    driver: Driver,
    cores: usize,
}

impl Runtimes {
    /// No thread yet: each comes with the first task that needs it.
    pub(crate) fn new(driver: Driver) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { workers: Vec::new(), driver, cores }
    }

    /// What drives their sockets.
    pub(crate) fn driver(&self) -> Driver {
        self.driver
    }

    /// Runs a task on the thread with the fewest, a new one if all have some and there are more cores. What goes wrong
    /// becomes its state, a panic in it too.
    pub(crate) fn spawn(
        &mut self,
        connector: &str,
        state: &StateCell,
        begin: impl FnOnce() -> LocalBoxFuture<'static, ()> + Send + 'static,
    ) {
        let begin: Begin = Box::new(begin);
        let order = Order { begin, connector: connector.to_owned(), state: state.clone() };
        if let Err(error) = self.place(order) {
            tracing::error!("connector {connector} failed: no thread for it: {error}");
            let reason = format!("no thread for it: {error}");
            state.set(TaskState::Failed(TaskFailure::passing(reason)));
        }
    }

    fn place(&mut self, order: Order) -> io::Result<()> {
        let fewest = self.workers.iter().map(Worker::tasks).min();
        if fewest.is_none_or(|fewest| 0 < fewest) && self.workers.len() < self.cores {
            self.workers.push(Worker::start(self.driver, self.workers.len())?);
        }
        let worker = self.workers.iter().min_by_key(|worker| worker.tasks());
        let ended = || io::Error::other("the thread has ended");
        let worker = worker.ok_or_else(ended)?;
        worker.tasks.fetch_add(1, Ordering::Relaxed);
        worker.orders.send(order).map_err(|_| ended())
    }

    /// Waits until every task has ended.
    pub(crate) fn join(self) {
        for Worker { orders, thread, .. } in self.workers {
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
        let tasks = Arc::new(AtomicUsize::new(0));
        let running = Arc::clone(&tasks);
        let thread =
            thread::Builder::new().name(format!("pipelines-{index}")).spawn(move || {
                // The runtime belongs to its thread, so whether there is one is said from here.
                let runtime = match Runtime::new(driver) {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(say.send(Err(error))),
                };
                drop(say.send(Ok(())));
                runtime.block_on(serve(received, &running));
            })?;
        let ended = || io::Error::other("the thread has ended before it began");
        heard.recv().map_err(|_| ended())??;
        Ok(Self { orders, thread, tasks })
    }

    fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Relaxed)
    }
}

/// Begins every task that is ordered, and ends with the last of them once no more can be.
async fn serve(mut orders: mpsc::UnboundedReceiver<Order>, running: &AtomicUsize) {
    let mut watches = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => drop(watches.spawn_local(run(order))),
                None => break,
            },
            Some(_) = watches.join_next() => {
                running.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
    while watches.join_next().await.is_some() {}
}

async fn run(Order { begin, connector, state }: Order) {
    let task = tokio::task::spawn_local(async move { begin().await });
    if task.await.is_err() {
        tracing::error!("connector {connector} failed: its task has panicked");
        state.set(TaskState::Failed(TaskFailure::lasting("its task has panicked")));
    }
}

#[cfg(test)]
mod tests {
    use millrace_io::driver::DriverChoice;

    use super::*;

    #[test]
    fn task_that_panics_fails_alone() {
        for driver in [Driver::Epoll, DriverChoice::Uring.resolve().0] {
            let mut runtimes = Runtimes::new(driver);
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
            assert_eq!(
                bad.read(),
                TaskState::Failed(TaskFailure::lasting("its task has panicked"))
            );
            assert_eq!(good.read(), TaskState::Stopped);
        }
    }

    /// Runs until it is told to end.
    fn waits(runtimes: &mut Runtimes) -> tokio::sync::oneshot::Sender<()> {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        runtimes.spawn("waits", &StateCell::new(), || Box::pin(async { drop(ended.await) }));
        end
    }

    #[test]
    fn there_are_never_more_threads_than_tasks_at_once_or_cores() {
        let cores = thread::available_parallelism().unwrap().get();
        for tasks in [0, 1, cores, cores + 5] {
            let mut runtimes = Runtimes::new(Driver::Epoll);
            let ends: Vec<_> = (0..tasks).map(|_| waits(&mut runtimes)).collect();
            assert_eq!(runtimes.workers.len(), tasks.min(cores));
            drop(ends);
            runtimes.join();
        }
    }

    #[test]
    fn thread_whose_task_has_ended_gets_the_next() {
        let mut runtimes = Runtimes::new(Driver::Epoll);
        for _ in 0..3 {
            drop(waits(&mut runtimes));
            while runtimes.workers.iter().any(|worker| 0 < worker.tasks()) {
                thread::yield_now();
            }
        }
        assert_eq!(runtimes.workers.len(), 1);
        runtimes.join();
    }
}
