//! Carries the machine of a member: asks what it wants asked, tells what it wants told, waits when it waits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_core::group::member::{Event, Member, Step};
use millrace_core::group::question::{Answer, Question};
use millrace_io::clock;
use tokio::sync::{mpsc, watch};

use super::asking::Line;
use super::rebalances::Rebalances;
use super::{Delegate, GroupEvent, GroupSettings, GroupView, Handled};
use crate::kafka::{Cluster, KafkaError};

/// What the worker wants of its membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Ready,
    Rejoin,
    StepOut,
    Leave,
}

/// See the module.
pub(super) struct Actor<D> {
    member: Member,
    line: Line,
    delegate: Arc<D>,
    /// For the next event to be answered by; weak, so that nobody is left when the herder goes.
    reply: mpsc::WeakUnboundedSender<Wish>,
    wishes: mpsc::UnboundedReceiver<Wish>,
    events: mpsc::UnboundedSender<GroupEvent>,
    view: watch::Sender<GroupView>,
    rebalances: Rebalances,
    /// The last failure that was logged, which is not logged again while it lasts.
    trouble: Option<String>,
}

impl<D: Delegate> Actor<D> {
    pub(super) fn new(
        cluster: Cluster,
        settings: GroupSettings,
        delegate: Arc<D>,
        (reply, wishes): (mpsc::WeakUnboundedSender<Wish>, mpsc::UnboundedReceiver<Wish>),
        events: mpsc::UnboundedSender<GroupEvent>,
        view: watch::Sender<GroupView>,
    ) -> Self {
        Self {
            member: Member::new(settings),
            line: Line::new(cluster),
            delegate,
            reply,
            wishes,
            events,
            view,
            rebalances: Rebalances::default(),
            trouble: None,
        }
    }

    /// Ends when the worker has left, or cannot be in the group.
    pub(super) async fn run(mut self) {
        loop {
            self.show();
            match self.member.poll(&*self.delegate, clock::now()) {
                Step::Ask(question, patience) => {
                    if let Some(answer) = self.ask(&question, patience).await {
                        self.handle(answer);
                    }
                }
                Step::Tell(event) => self.tell(event),
                Step::Wait(until) => self.wait(until).await,
                Step::End(Ok(())) => return tracing::info!("the worker has left its group"),
                Step::End(Err(error)) => {
                    tracing::error!("{error}");
                    return drop(self.events.send(GroupEvent::Failed(error)));
                }
            }
        }
    }

    fn show(&self) {
        let now = GroupView { member: self.member.view(), rebalances: self.rebalances };
        self.view.send_if_modified(|shown| {
            let is_new = *shown != now;
            *shown = now;
            is_new
        });
    }

    async fn wait(&mut self, until: Option<Instant>) {
        tokio::select! {
            () = clock::wait_until(until) => {}
            wish = self.wishes.recv() => {
                let _ = take(wish, &mut self.member, &mut self.rebalances);
            }
        }
    }

    /// `None` if the worker goes: that ends the wait for an answer, since a join may take as long as the slowest
    /// member.
    async fn ask(
        &mut self,
        question: &Question,
        patience: Duration,
    ) -> Option<Result<Answer, KafkaError>> {
        let Self { member, line, wishes, rebalances, .. } = self;
        let coordinator = member.coordinator().map(|coordinator| coordinator.address.clone());
        let is_goodbye = matches!(question, Question::Leave { .. });
        let asking = line.ask(coordinator, question, patience);
        let mut asking = std::pin::pin!(asking);
        loop {
            tokio::select! {
                answer = &mut asking => return Some(answer),
                wish = wishes.recv(), if !is_goodbye => {
                    if take(wish, member, rebalances).is_break() {
                        return None;
                    }
                }
            }
        }
    }

    fn handle(&mut self, answer: Result<Answer, KafkaError>) {
        let now = clock::now();
        let trouble = match answer {
            Ok(answer) => {
                let trouble = self.member.handle_answer(answer, &*self.delegate, now);
                trouble.map(|trouble| trouble.to_string())
            }
            Err(error) => {
                self.member.handle_failure(now);
                Some(error.to_string())
            }
        };
        if let Some(text) = &trouble
            && trouble != self.trouble
        {
            tracing::warn!("group: {text}");
        }
        self.trouble = trouble;
    }

    fn tell(&mut self, event: Event) {
        // Nobody listens any more: the membership goes, too.
        let Some(reply) = self.reply.upgrade() else { return self.member.leave() };
        let handled = Handled(reply);
        let event = match event {
            Event::Assigned(assigned) => {
                self.rebalances.begin(clock::now());
                tracing::info!(
                    "joined the group at generation {} with protocol version {}: all {}; new {}; revoked {}; next \
                     rebalance {}; leader {}",
                    assigned.generation,
                    assigned.protocol.version(),
                    assigned.total,
                    assigned.added,
                    assigned.revoked,
                    if assigned.delay.is_zero() {
                        "none scheduled".to_owned()
                    } else {
                        format!("in {} ms", assigned.delay.as_millis())
                    },
                    assigned.leader_url,
                );
                GroupEvent::Assigned { assigned, handled }
            }
            Event::Lost => {
                tracing::warn!(
                    "the coordinator of the group was not reached within session.timeout.ms: everything that was \
                     assigned to this worker stops"
                );
                GroupEvent::Lost { handled }
            }
        };
        let _ = self.events.send(event);
    }
}

/// Breaks off what is asked if the worker goes.
fn take(wish: Option<Wish>, member: &mut Member, rebalances: &mut Rebalances) -> ControlFlow<()> {
    match wish {
        Some(Wish::Ready) => {
            member.handle_ready();
            rebalances.end(clock::now());
        }
        Some(Wish::Rejoin) => member.rejoin(),
        Some(Wish::StepOut) => {
            member.step_out();
            return ControlFlow::Break(());
        }
        Some(Wish::Leave) | None => {
            member.leave();
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}
