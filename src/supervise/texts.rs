//! The notices of a VM that runs, and the reasons of its end.

use super::*;
use crate::checkpoint::{CheckpointSource, Resume};
use crate::model::Accelerator;
use crate::protocol::{GuestEvent, GuestIdentity};
use crate::qemu::qmp::Message;
use crate::testing::{Texts, assert_texts};

const LIMITS: Limits = Limits {
    boot: Duration::from_secs(30),
    ready: Duration::from_secs(100),
    poweroff: Duration::from_secs(20),
    quit: Duration::from_secs(3),
};
const KVM: Feature = Feature::Accelerator(Accelerator::Kvm);

/// A state machine, its clock, and its notices.
struct Play {
    machine: StateMachine,
    now: Instant,
    notices: Vec<String>,
}

impl Play {
    fn new(features: &[Feature], checkpoint: Option<CheckpointPlan>) -> Self {
        let now = Instant::now();
        Self {
            machine: StateMachine::new(LIMITS, features.to_vec(), true, checkpoint, now),
            now,
            notices: Vec::new(),
        }
    }

    fn booting(features: &[Feature]) -> Self {
        Self::new(features, None).on([qmp(Message::Greeting), qmp(Message::Negotiated), Event::ConsoleByte])
    }

    fn ready() -> Self {
        Self::booting(&[]).on([Event::Guest(GuestEvent::SessionReady)])
    }

    fn on(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        for event in events {
            let actions = self.machine.on(event, self.now);
            self.notices.extend(actions.into_iter().filter_map(|action| match action {
                Action::Emit(VmEvent::Notice(sentence)) => Some(sentence),
                _ => None,
            }));
        }
        self
    }

    fn after(mut self, seconds: u64) -> Self {
        self.now += Duration::from_secs(seconds);
        self.on([Event::Tick])
    }

    fn end_with(self, exit: Exit, qemu: &[&str]) -> String {
        let tails = Tails { qemu: qemu.iter().map(|&line| line.to_owned()).collect(), ..Tails::default() };
        let end = match self.machine.end(exit, tails) {
            End::FeatureFailed { feature, because } => format!("{feature:?} failed: {because}"),
            End::Died { reason, .. } => format!("died: {reason}"),
            other => format!("{other:?}"),
        };
        self.notices.into_iter().map(|sentence| format!("notice: {sentence}\n")).chain([end]).collect()
    }

    fn end(self) -> String {
        self.end_with(Exit::Status(0), &[])
    }
}

fn qmp(message: Message) -> Event {
    Event::Qmp(message)
}

fn status(status: &str) -> Event {
    qmp(Message::Status(status.to_owned()))
}

fn shutdown(reason: &str) -> Event {
    qmp(Message::Shutdown { reason: reason.to_owned() })
}

#[test]
fn notices_and_ends() {
    let accelerated = &[KVM];
    let gl = &[Feature::Gl];
    let mut texts = Texts::default();
    for (about, text) in [
        ("asked to stop", Play::ready().on([Event::StopRequested, shutdown("guest-shutdown")]).end()),
        ("does not power off", Play::ready().on([Event::StopRequested]).after(20).end()),
        ("a notice of the guest", {
            let notice = Event::Guest(GuestEvent::Notice { message: "no clock".to_owned() });
            Play::ready().on([notice, shutdown("guest-shutdown")]).end()
        }),
        ("the guest fails", {
            let failed = Event::Guest(GuestEvent::Failed { message: "no seat".to_owned() });
            Play::booting(&[]).on([failed]).end()
        }),
        ("no answer", Play::new(&[], None).after(30).end()),
        ("no answer, with OpenGL", Play::new(gl, None).after(30).end()),
        ("no console", {
            Play::new(&[], None).on([qmp(Message::Greeting), qmp(Message::Negotiated)]).after(30).end()
        }),
        ("no console, accelerated", {
            Play::new(accelerated, None)
                .on([qmp(Message::Greeting), qmp(Message::Negotiated)])
                .after(30)
                .end()
        }),
        ("no session", Play::booting(&[]).after(100).end()),
        ("no session, with OpenGL", Play::booting(gl).after(100).end()),
        ("internal error, booting", Play::booting(accelerated).on([status("internal-error")]).end()),
        ("internal error", Play::ready().on([status("internal-error")]).end()),
        ("panic", Play::ready().on([qmp(Message::Panicked)]).end()),
        ("reset, booting", Play::booting(&[]).on([shutdown("guest-reset")]).end()),
        ("ended by a signal", Play::ready().on([shutdown("host-signal")]).end()),
        ("ended for a reason of QEMU's", Play::ready().on([shutdown("host-error")]).end()),
        ("QMP is closed", Play::ready().on([Event::QmpClosed]).after(3).end()),
        ("exit", Play::booting(&[]).end_with(Exit::Status(1), &["qemu-system-x86_64: -m 9T: no memory"])),
        ("exit without a word", Play::booting(&[]).end_with(Exit::Status(1), &[])),
        ("exit for OpenGL", Play::booting(gl).end_with(Exit::Status(1), &["egl: eglInitialize failed"])),
    ] {
        texts.add(about, text);
    }
    assert_texts!("ends", texts);
}

#[test]
fn notices_and_ends_at_a_checkpoint() {
    let boot = || CheckpointSource::Boot { memory: "/c/memory".into(), overlay: "/o/root".into() };
    let identity = GuestIdentity {
        host_name: "a".into(),
        timezone: "UTC".into(),
        clock: 0,
        entropy: "00".into(),
        safe: false,
        home: false,
        doors: None,
        credentials: Default::default(),
    };
    let resume = Resume { identity, home: None, shares: Vec::new() };
    let refused = |step| qmp(Message::Refused(step, "no room".into()));
    let saving = |resume| {
        let play = Play::new(&[], Some(CheckpointPlan { source: boot(), resume }));
        play.on([qmp(Message::Greeting), qmp(Message::Negotiated), Event::ConsoleByte])
            .on([Event::Guest(GuestEvent::Checkpoint), refused(Step::Pause)])
    };
    let restoring = || {
        let source = CheckpointSource::Saved { memory: "/c/memory".into() };
        let plan = CheckpointPlan { source, resume: Some(resume.clone()) };
        Play::new(&[Feature::Checkpoint], Some(plan)).on([qmp(Message::Greeting), qmp(Message::Negotiated)])
    };
    let migration = |status: &str| qmp(Message::Migration(status.to_owned()));
    let mut texts = Texts::default();
    texts.add("a VM that is only saved", saving(None).end());
    texts.add(
        "a VM that is saved on its way",
        saving(Some(resume.clone())).on([shutdown("guest-shutdown")]).end(),
    );
    texts.add("QEMU refuses to restore", restoring().on([refused(Step::SetCapabilities)]).end());
    let failing = restoring().on([qmp(Message::Done(Step::SetCapabilities)), migration("failed")]);
    texts.add("QEMU fails to restore", failing.end());
    texts.add("QEMU ends", restoring().end_with(Exit::Status(1), &["qemu: load of migration failed"]));
    assert_texts!("checkpoint", texts);
}

#[cfg(unix)]
#[test]
fn exits() {
    let mut texts = Texts::default();
    for exit in [Exit::Status(1), Exit::Signal(9), Exit::Signal(11), Exit::Signal(99)] {
        texts.add(format!("{exit:?}"), exit);
    }
    assert_texts!("exits", texts);
}
