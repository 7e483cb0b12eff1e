//! This worker as a member of its group.
//!
//! ```text
//!  herder ── rejoin, step out, leave ──► actor ──► core::group::member, which decides
//!     ▲                                   │  └────► one connection to the coordinator
//!     └── GroupEvent, with a Handled ◄────┘
//! ```
//!
//! The actor is a task of its own: heartbeats go on while the herder is busy. What it tells comes with a [`Handled`],
//! and the worker does not join again until that is dropped.

mod actor;
mod asking;
mod rebalances;

#[cfg(test)]
mod fake_coordinator;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use millrace_core::group::leader::Owners;
pub(crate) use millrace_core::group::member::{
    Assigned, MemberSettings as GroupSettings, MemberView, Worker,
};
pub(crate) use millrace_core::group::protocol::{Protocol, Protocols};
pub(crate) use millrace_core::group::refusal::GroupError;
pub(crate) use millrace_core::group::work::{ClusterWork, TaskId, Work};
use tokio::sync::{mpsc, watch};

use self::actor::{Actor, Wish};
pub(crate) use self::rebalances::Rebalances;
use crate::kafka::Cluster;

/// What the group needs to know of this worker, asked at each join and, of a leader, at each assignment. It must not
/// wait for anything.
pub(crate) trait Delegate: Worker + Send + Sync + 'static {}
impl<W: Worker + Send + Sync + 'static> Delegate for W {}

/// What happens to this worker.
#[derive(Debug)]
pub(crate) enum GroupEvent {
    /// A rebalance is done. What was revoked stops before `handled` is dropped; then the worker joins again by itself
    /// if something was revoked, or if the assignment was none (`is_config_mismatch`): read the config topic to its
    /// end first.
    Assigned { assigned: Box<Assigned>, handled: Handled },
    /// The session is over: everything must stop before another worker runs it. Then the worker joins anew.
    Lost { handled: Handled },
    /// The worker cannot be in the group, and a person must change something. Nothing comes after this.
    Failed(GroupError),
}

/// Held while the worker does what an event asks for. Until it is dropped the worker does not join again: what it says
/// it runs when it joins is what others are not given.
#[derive(Debug)]
#[must_use = "dropped at once it says that everything is stopped already"]
pub(crate) struct Handled(mpsc::UnboundedSender<Wish>);

impl Drop for Handled {
    fn drop(&mut self) {
        // Without the actor nobody waits.
        let _ = self.0.send(Wish::Ready);
    }
}

/// What is known of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupView {
    /// As the machine sees it.
    pub(crate) member: MemberView,
    /// What rebalances have cost.
    pub(crate) rebalances: Rebalances,
}

/// A worker in its group. It leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Membership {
    wishes: mpsc::UnboundedSender<Wish>,
    view: watch::Receiver<GroupView>,
}

impl Membership {
    /// Enters the group, and stays in it.
    pub(crate) fn start(
        cluster: Cluster,
        settings: GroupSettings,
        delegate: Arc<impl Delegate>,
    ) -> (Self, mpsc::UnboundedReceiver<GroupEvent>) {
        let (wishes, wished) = mpsc::unbounded_channel();
        let (told, events) = mpsc::unbounded_channel();
        let (shown, view) = watch::channel(GroupView::default());
        let actor =
            Actor::new(cluster, settings, delegate, (wishes.downgrade(), wished), told, shown);
        tokio::spawn(actor.run());
        (Self { wishes, view }, events)
    }

    /// Asks for a rebalance, since connectors or tasks have changed. What this worker says of itself is asked for later
    /// than this, so a change that is made before is part of it.
    pub(crate) fn rejoin(&self) {
        self.wish(Wish::Rejoin);
    }

    /// Leaves the group until the worker has handled the events it was told: others need not wait for a worker that
    /// cannot read the config topic.
    pub(crate) fn step_out(&self) {
        self.wish(Wish::StepOut);
    }

    /// Leaves the group for good; ends when the coordinator knows, or some seconds later.
    pub(crate) async fn leave(&self) {
        self.wish(Wish::Leave);
        let mut view = self.view.clone();
        while view.changed().await.is_ok() {}
    }

    /// What is known of the group, and when it changes.
    pub(crate) fn view(&self) -> watch::Receiver<GroupView> {
        self.view.clone()
    }

    fn wish(&self, wish: Wish) {
        // An actor that has ended grants nothing, and has said so by an event.
        let _ = self.wishes.send(wish);
    }
}
