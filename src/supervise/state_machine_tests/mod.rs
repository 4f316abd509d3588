use super::*;
use crate::model::{Accelerator, Window};
use proptest::prelude::*;
use std::time::Duration;

mod checkpoint;

const LIMITS: Limits = Limits {
    boot: Duration::from_secs(30),
    ready: Duration::from_secs(100),
    poweroff: Duration::from_secs(20),
    quit: Duration::from_secs(3),
};

/// By itself, after its session was ready.
fn powered_off(session_status: Option<i32>) -> End {
    End::PoweredOff { session_status, premature: false, clean: true }
}

struct Play {
    machine: StateMachine,
    now: Instant,
}

impl Play {
    fn start(accelerated: bool) -> Self {
        Self::with_features(if accelerated { &ALL[..1] } else { &[] })
    }

    fn with_features(features: &[Feature]) -> Self {
        Self::with(features, None)
    }

    fn with(features: &[Feature], checkpoint: Option<CheckpointPlan>) -> Self {
        let now = Instant::now();
        Self { machine: StateMachine::new(LIMITS, features.to_vec(), true, checkpoint, now), now }
    }

    fn booted(accelerated: bool) -> Self {
        let mut play = Self::start(accelerated);
        for event in [Event::Qmp(Message::Greeting), Event::Qmp(Message::Negotiated), Event::ConsoleByte] {
            play.on(event);
        }
        play.on(Event::Qmp(Message::Status("running".into())));
        play
    }

    fn ready(accelerated: bool) -> Self {
        let mut play = Self::booted(accelerated);
        assert_eq!(
            play.on(Event::Guest(GuestEvent::SessionReady)),
            [Action::Reach(Stage::Ready), Action::ReleaseKeys]
        );
        play
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.machine.on(event, self.now)
    }

    fn shutdown(&mut self, reason: &str) -> Vec<Action> {
        self.on(Event::Qmp(Message::Shutdown { reason: reason.into() }))
    }

    /// What is done when `seconds` have gone by.
    fn after(&mut self, seconds: u64) -> Vec<Action> {
        let until = self.now + Duration::from_secs(seconds);
        let mut actions = Vec::new();
        while self.now < until {
            let next = self.machine.deadline().map_or(until, |at| at.min(until));
            assert!(next > self.now, "a deadline that is over would be waited for without end");
            self.now = next;
            actions.extend(self.on(Event::Tick));
        }
        actions
    }

    fn end(self) -> End {
        self.machine.end(Exit::Status(0), Tails::default())
    }
}

const QUIT: Action = Action::Send(Command::Quit);
const PRESS_BUTTON: Action = Action::Send(Command::Powerdown);

#[test]
fn the_stop_steps_are_power_button_then_quit_then_kill() {
    let mut play = Play::ready(false);
    assert_eq!(play.on(Event::StopRequested)[0], PRESS_BUTTON);
    let presses = play.after(19);
    assert_eq!(presses, vec![PRESS_BUTTON; 6]);
    assert_eq!(play.after(1)[0], QUIT);
    assert_eq!(play.after(2), []);
    assert_eq!(play.after(1), [Action::Kill]);
    assert_eq!(play.after(100), []);
    assert_eq!(play.end(), End::Stopped { by: StopCause::Signal, clean: false });
}

#[test]
fn each_further_request_is_the_next_stop_step() {
    let mut play = Play::ready(false);
    play.on(Event::StopRequested);
    assert_eq!(play.on(Event::StopRequested), [QUIT]);
    assert_eq!(play.on(Event::StopRequested), [Action::Kill]);
    assert_eq!(play.on(Event::StopRequested), []);
}

#[test]
fn a_qemu_that_takes_no_commands_is_killed() {
    let mut play = Play::start(false);
    assert_eq!(play.on(Event::StopRequested), [Action::Kill]);
    let mut play = Play::ready(false);
    play.on(Event::QmpClosed);
    assert_eq!(play.on(Event::StopRequested), [Action::Kill]);
}

#[test]
fn before_the_kernel_runs_a_stop_skips_the_power_button() {
    let mut play = Play::start(false);
    play.on(Event::Qmp(Message::Negotiated));
    assert_eq!(play.on(Event::StopRequested), [QUIT]);
}

#[test]
fn a_power_off_is_answered_with_quit_and_ends_within_five_seconds() {
    let mut play = Play::ready(false);
    assert_eq!(play.shutdown("guest-shutdown"), [QUIT]);
    assert_eq!(play.after(4), [Action::Kill]);
    assert_eq!(play.end(), powered_off(None));
}

#[test]
fn a_power_off_on_request_is_a_clean_stop() {
    let mut play = Play::ready(false);
    play.on(Event::StopRequested);
    assert_eq!(play.on(Event::Qmp(Message::Powerdown)), []);
    assert_eq!(play.shutdown("guest-shutdown"), [QUIT]);
    assert_eq!(play.end(), End::Stopped { by: StopCause::Signal, clean: true });
}

#[test]
fn a_power_button_that_the_launcher_did_not_press_is_the_windows() {
    let mut play = Play::ready(false);
    assert_eq!(play.on(Event::Qmp(Message::Powerdown)), []);
    assert_eq!(play.after(20).iter().filter(|action| **action == QUIT).count(), 1);
    assert_eq!(play.end(), End::Stopped { by: StopCause::WindowClosed, clean: false });
}

#[test]
fn every_shutdown_reason_has_its_end() {
    let end = |reason: &str| {
        let mut play = Play::ready(false);
        play.shutdown(reason);
        play.end()
    };
    let closed = End::Stopped { by: StopCause::WindowClosed, clean: false };
    assert_eq!((end("host-ui"), end("host-qmp-quit")), (closed.clone(), closed));
    assert_eq!(end("guest-reset"), powered_off(None));
    for reason in ["guest-panic", "host-signal", "host-error", "of-a-later-qemu"] {
        assert!(matches!(end(reason), End::Died { .. }), "{reason}");
    }
}

#[test]
fn a_panic_after_the_session_is_still_reported() {
    let mut play = Play::ready(false);
    play.on(Event::Guest(GuestEvent::SessionExit { status: 0 }));
    assert_eq!(play.on(Event::Qmp(Message::Panicked)), [QUIT]);
    assert!(matches!(play.end(), End::Died { .. }));
}

#[test]
fn a_pause_causes_one_status_query_and_a_users_pause_is_no_failure() {
    let mut play = Play::ready(true);
    assert_eq!(play.on(Event::Qmp(Message::Stop)), [Action::Send(Command::Status)]);
    assert_eq!(play.on(Event::Qmp(Message::Stop)), []);
    assert_eq!(play.on(Event::Qmp(Message::Status("paused".into()))), []);
    assert_eq!(play.on(Event::Qmp(Message::Stop)), [Action::Send(Command::Status)]);
    assert_eq!(play.on(Event::Qmp(Message::Status("paused".into()))), []);
}

fn paused() -> Play {
    let mut play = Play::ready(true);
    assert_eq!(play.on(Event::Qmp(Message::Stop)), [Action::Send(Command::Status)]);
    let paused = play.on(Event::Qmp(Message::Status("io-error".into())));
    assert_eq!(paused, [Action::Emit(VmEvent::Paused)]);
    play
}

#[test]
fn a_full_disk_pauses_the_vm_until_it_is_resumed() {
    let mut play = paused();
    assert_eq!(play.after(10_000), [], "it is not waited for");
    assert_eq!(play.on(Event::ResumeRequested), [Action::Send(Command::Continue)]);
    assert_eq!(play.on(Event::Qmp(Message::Resume)), [Action::Emit(VmEvent::Resumed)]);
    assert_eq!(play.on(Event::ResumeRequested), []);
    // The disk is full again.
    play.on(Event::Qmp(Message::Stop));
    let again = play.on(Event::Qmp(Message::Status("io-error".into())));
    assert_eq!(again, [Action::Emit(VmEvent::Paused)]);
}

#[test]
fn the_time_of_a_pause_does_not_count_towards_a_limit() {
    let mut play = Play::booted(true);
    assert_eq!(play.after(60), []);
    play.on(Event::Qmp(Message::Stop));
    play.on(Event::Qmp(Message::Status("io-error".into())));
    assert_eq!(play.after(10_000), []);
    play.on(Event::Qmp(Message::Resume));
    assert_eq!(play.after(39), [], "the limit is {:?}, and 99 s of it have passed", LIMITS.ready);
    assert_eq!(play.after(1), [QUIT]);
}

#[test]
fn a_stop_waits_for_a_qemu_that_has_closed_its_channel_without_spinning() {
    let mut play = Play::ready(true);
    play.on(Event::StopRequested);
    play.on(Event::QmpClosed);
    // `after` refuses a deadline that is over.
    assert_eq!(play.after(19), []);
    assert_eq!(play.after(1)[0], Action::Kill);
}

#[test]
fn a_paused_vm_is_let_run_to_power_off() {
    let mut play = paused();
    let actions = play.on(Event::StopRequested);
    let commands = [Action::Send(Command::Continue), Action::Send(Command::Powerdown)];
    assert_eq!(actions[..2], commands);
}

const KVM: Feature = Feature::Accelerator(Accelerator::Kvm);
const GTK: Feature = Feature::Window(Window::Gtk);
const ALL: &[Feature] = &[KVM, Feature::Gl, GTK];

fn failure(play: Play) -> Option<Feature> {
    match play.end() {
        End::FeatureFailed { feature, .. } => Some(feature),
        _ => None,
    }
}

#[test]
fn without_console_output_the_accelerator_is_disabled_and_without_one_the_launcher_waits() {
    let silent = |features: &[Feature]| {
        let mut play = Play::with_features(features);
        play.on(Event::Qmp(Message::Negotiated));
        play.on(Event::Qmp(Message::Status("running".into())));
        (play.after(31), play)
    };
    let (actions, play) = silent(ALL);
    assert_eq!(actions, [QUIT]);
    assert_eq!(failure(play), Some(KVM));
    let (actions, mut play) = silent(&[Feature::Gl, GTK]);
    assert!(matches!(&actions[..], [Action::ReleaseKeys, Action::Emit(VmEvent::Notice(_))]), "{actions:?}");
    assert_eq!(play.after(1000), []);
}

#[test]
fn without_a_session_opengl_is_disabled_then_the_accelerator_and_then_the_launcher_waits() {
    let no_session = |features: &[Feature]| {
        let mut play = Play::with_features(features);
        play.on(Event::Qmp(Message::Negotiated));
        play.on(Event::ConsoleByte);
        play.on(Event::Qmp(Message::Status("running".into())));
        let actions = play.after(101);
        (actions, failure(play))
    };
    assert_eq!(no_session(ALL), (vec![QUIT], Some(Feature::Gl)));
    assert_eq!(no_session(&[KVM, GTK]), (vec![QUIT], Some(KVM)));
    let (actions, failure) = no_session(&[GTK]);
    assert!(matches!(&actions[..], [Action::ReleaseKeys, Action::Emit(VmEvent::Notice(_))]), "{actions:?}");
    assert_eq!(failure, None);
}

#[test]
fn after_a_report_of_no_session_opengl_is_disabled_first() {
    let failed = |features: &[Feature]| {
        let mut play = Play::with_features(features);
        play.on(Event::Qmp(Message::Negotiated));
        play.on(Event::Guest(GuestEvent::Failed { message: "no renderer".into() }));
        play.end()
    };
    assert!(matches!(failed(ALL), End::FeatureFailed { feature: Feature::Gl, .. }));
    let End::Died { reason, .. } = failed(&[]) else { panic!() };
    assert!(reason.contains("no renderer"), "{reason}");
}

#[test]
fn without_a_reply_from_qemu_opengl_is_disabled_first_and_the_last_failure_is_a_death() {
    let unanswered = |features: &[Feature]| {
        let mut play = Play::with_features(features);
        assert_eq!(play.after(31), [Action::Kill]);
        failure(play)
    };
    assert_eq!(unanswered(ALL), Some(Feature::Gl));
    assert_eq!(unanswered(&[KVM, GTK]), Some(GTK));
    assert_eq!(unanswered(&[]), None);
}

// On Windows a kill looks like an exit status.
#[cfg(unix)]
#[test]
fn a_crash_before_the_session_is_a_failed_feature_and_a_kill_from_outside_is_not() {
    let ended = |play: Play, signal| play.machine.end(Exit::Signal(signal), Tails::default());
    let died = |end| matches!(end, End::Died { .. });
    let segv = nix::libc::SIGSEGV;
    let End::FeatureFailed { feature, because } = ended(Play::with_features(ALL), segv) else { panic!() };
    assert_eq!((feature, because.as_str()), (Feature::Gl, "QEMU was ended by SIGSEGV"));
    assert!(died(ended(Play::with_features(&[]), segv)));
    assert!(died(ended(Play::with_features(ALL), nix::libc::SIGKILL)));
    assert!(died(ended(Play::ready(true), segv)));
}

#[test]
fn a_known_failure_after_the_session_was_ready_is_a_death() {
    let tails = || Tails { qemu: vec!["KVM internal error. Suberror: 1".into()], ..Tails::default() };
    let end = |play: Play| play.machine.end(Exit::Signal(6), tails());
    assert!(matches!(end(Play::booted(true)), End::FeatureFailed { .. }));
    assert!(matches!(end(Play::ready(true)), End::Died { .. }));
}

fn any_event() -> impl Strategy<Value = Event> {
    const REASONS: &[&str] =
        &["guest-shutdown", "guest-reset", "host-ui", "x", "internal-error", "io-error", "shutdown"];
    let text = proptest::sample::select(REASONS).prop_map(str::to_owned);
    prop_oneof![
        Just(Event::Qmp(Message::Greeting)),
        Just(Event::Qmp(Message::Negotiated)),
        Just(Event::Qmp(Message::Powerdown)),
        Just(Event::Qmp(Message::Stop)),
        Just(Event::Qmp(Message::Panicked)),
        text.clone().prop_map(|reason| Event::Qmp(Message::Shutdown { reason })),
        text.prop_map(|status| Event::Qmp(Message::Status(status))),
        Just(Event::QmpClosed),
        Just(Event::ConsoleByte),
        Just(Event::Welcome),
        Just(Event::Guest(GuestEvent::SessionReady)),
        any::<i32>().prop_map(|status| Event::Guest(GuestEvent::SessionExit { status })),
        Just(Event::Tick),
    ]
}

proptest! {
    #[test]
    fn after_any_events_stop_requests_end_in_a_kill(
        accelerated: bool,
        events in proptest::collection::vec(any_event(), 0..20),
    ) {
        let mut play = Play::start(accelerated);
        let mut actions: Vec<_> = events.into_iter().flat_map(|event| play.on(event)).collect();
        actions.extend(play.on(Event::StopRequested));
        actions.extend(play.after(60));
        prop_assert_eq!(actions.iter().filter(|action| **action == Action::Kill).count(), 1);
    }

    #[test]
    fn stages_only_go_up(events in proptest::collection::vec(any_event(), 0..20)) {
        let mut play = Play::start(false);
        let mut stages = vec![Stage::Qemu];
        for action in events.into_iter().flat_map(|event| play.on(event)) {
            if let Action::Reach(stage) = action {
                stages.push(stage);
            }
        }
        prop_assert!(stages.is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn a_session_that_fails_after_it_was_ready_is_a_death_and_the_guest_still_writes_its_disks() {
    let failed = || Event::Guest(GuestEvent::Failed { message: "the compositor crashed".into() });
    let mut play = Play::ready(true);
    assert_eq!(play.on(failed()), []);
    assert_eq!(play.on(Event::Guest(GuestEvent::SessionExit { status: 139 })), []);
    assert_eq!(play.shutdown("guest-shutdown"), [QUIT]);
    assert!(matches!(play.end(), End::Died { reason, .. } if reason.contains("the compositor crashed")));
    // One that does not power off is pressed and stopped.
    let mut play = Play::ready(false);
    play.on(failed());
    assert!(play.after(25).ends_with(&[Action::Kill]));
}
