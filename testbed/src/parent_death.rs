//! What a child is bound to before it runs: this process's end, CPUs, a cgroup. The only unsafe
//! code of the testbed.
//!
//! ```text
//! Lifetime::WithParent   own process group (a Ctrl-C on the terminal does not reach it), and the
//!                        kernel sends SIGKILL when the parent ends, however it ends: prctl(2)
//! Lifetime::Detached     own session: a closed terminal does not reach it, nor the parent's end
//! ```
//!
//! `PR_SET_PDEATHSIG` fires when the *thread* that forked ends, not the process. So every child is
//! forked by one thread that lives as long as the process.

// `pre_exec` is unsafe; the three closures below call only what may be called there.
#![allow(unsafe_code)]

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command},
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{Pid, getppid, setsid},
};

use crate::process::Lifetime;

/// A command to fork, and where its child goes.
struct Order {
    command: Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

/// The way to the forking thread; `None` until the first child.
static FORKER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);

/// Starts `command` so that it ends with this process, or outlives it, as `lifetime` says.
///
/// # Errors
/// Those of [`Command::spawn`]; that of a thread that cannot be started.
pub(crate) fn spawn(mut command: Command, lifetime: Lifetime) -> io::Result<Child> {
    match lifetime {
        Lifetime::WithParent => end_with_parent(&mut command),
        Lifetime::Detached => live_in_own_session(&mut command),
    }
    let (reply, child) = mpsc::channel();
    forker()?.send(Order { command, reply }).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

/// Binds the child of `command` to `cpus` (none: all) and to the cgroup that `entrance` leads into.
///
/// # Errors
/// When a CPU has a number that no machine has.
pub(crate) fn confine(
    command: &mut Command,
    cpus: &[u16],
    entrance: Option<File>,
) -> io::Result<()> {
    let mut set = None;
    for &cpu in cpus {
        set.get_or_insert_with(CpuSet::new).set(cpu.into())?;
    }
    if set.is_none() && entrance.is_none() {
        return Ok(());
    }
    let enter = move || {
        if let Some(set) = &set {
            sched_setaffinity(Pid::from_raw(0), set)?;
        }
        match &entrance {
            Some(entrance) => (&*entrance).write_all(b"0"),
            None => Ok(()),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe things may be done. The closure makes two
    // system calls, sched_setaffinity and write, on a CPU set and a file that were made before the
    // fork. A write to a cgroup is whole or fails with an error number; neither allocates.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

fn forker() -> io::Result<mpsc::Sender<Order>> {
    let mut forker = FORKER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(orders) = &*forker {
        return Ok(orders.clone());
    }
    let (orders, queue) = mpsc::channel::<Order>();
    // The static sender is never dropped, so the loop ends with the process.
    thread::Builder::new().name("testbed-fork".to_owned()).spawn(move || {
        for Order { mut command, reply } in queue {
            if let Err(mpsc::SendError(Ok(mut orphan))) = reply.send(command.spawn()) {
                let _ = orphan.kill();
                let _ = orphan.wait();
            }
        }
    })?;
    *forker = Some(orders.clone());
    Ok(orders)
}

fn end_with_parent(command: &mut Command) {
    let parent = Pid::this();
    command.process_group(0);
    let ask_for_signal = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the call above: then no signal will come.
        if getppid() == parent { Ok(()) } else { Err(io::Error::from(Errno::ESRCH)) }
    };
    // SAFETY: between fork and exec only async-signal-safe things may be done. The closure makes
    // two system calls, prctl and getppid, and compares integers. An `Errno` becomes an `io::Error`
    // by its number, without an allocation. It takes no lock and captures a plain integer.
    unsafe { command.pre_exec(ask_for_signal) };
}

fn live_in_own_session(command: &mut Command) {
    let new_session = || match setsid() {
        Ok(_) => Ok(()),
        Err(errno) => Err(io::Error::from(errno)),
    };
    // SAFETY: as above; setsid is one system call, async-signal-safe by POSIX, and captures
    // nothing.
    unsafe { command.pre_exec(new_session) };
}
