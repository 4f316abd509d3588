use super::*;
use proptest::prelude::*;

mod checkpoint;

const LIMITS: Limits = Limits {
    life: Duration::from_secs(30),
    ready: Duration::from_secs(100),
    poweroff: Duration::from_secs(20),
    quit: Duration::from_secs(3),
};

/// A machine and its clock.
struct Play {
    machine: Machine,
    now: Instant,
}

impl Play {
    fn start(accelerated: bool) -> Self {
        Self::on_rungs(Rungs { accelerator: accelerated, ..Rungs::default() })
    }

    fn on_rungs(rungs: Rungs) -> Self {
        Self::with(rungs, None)
    }

    fn with(rungs: Rungs, checkpoint: Option<Checkpoint>) -> Self {
        let now = Instant::now();
        Self { machine: Machine::new(LIMITS, rungs, true, checkpoint, now), now }
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
        assert_eq!(play.on(Event::Control(Report::SessionReady)), [Action::Stage(Stage::Ready)]);
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
fn the_ladder_is_power_button_then_quit_then_kill() {
    let mut play = Play::ready(false);
    assert_eq!(play.on(Event::StopAsked)[0], PRESS_BUTTON);
    let presses = play.after(19);
    assert_eq!(presses, vec![PRESS_BUTTON; 6]);
    assert_eq!(play.after(1)[0], QUIT);
    assert_eq!(play.after(2), []);
    assert_eq!(play.after(1), [Action::Kill]);
    assert_eq!(play.after(100), []);
    assert_eq!(play.end(), End::Stopped { by: StopCause::Signal, clean: false });
}

#[test]
fn each_further_request_is_one_rung_down() {
    let mut play = Play::ready(false);
    play.on(Event::StopAsked);
    assert_eq!(play.on(Event::StopAsked), [QUIT]);
    assert_eq!(play.on(Event::StopAsked), [Action::Kill]);
    assert_eq!(play.on(Event::StopAsked), []);
}

#[test]
fn a_qemu_that_takes_no_commands_is_terminated() {
    let mut play = Play::start(false);
    assert_eq!(play.on(Event::StopAsked), [Action::Terminate]);
    let mut play = Play::ready(false);
    play.on(Event::QmpClosed);
    assert_eq!(play.on(Event::StopAsked), [Action::Terminate]);
    assert_eq!(play.after(3), [Action::Kill]);
}

#[test]
fn before_the_kernel_runs_nobody_hears_the_power_button() {
    let mut play = Play::start(false);
    play.on(Event::Qmp(Message::Negotiated));
    assert_eq!(play.on(Event::StopAsked), [QUIT]);
}

#[test]
fn a_power_off_is_answered_with_quit_and_ends_within_five_seconds() {
    let mut play = Play::ready(false);
    assert_eq!(play.shutdown("guest-shutdown"), [QUIT]);
    assert_eq!(play.after(4), [Action::Kill]);
    assert_eq!(play.end(), End::PoweredOff { session_status: None });
}

#[test]
fn a_power_off_that_was_asked_for_is_a_clean_stop() {
    let mut play = Play::ready(false);
    play.on(Event::StopAsked);
    assert_eq!(play.on(Event::Qmp(Message::Powerdown)), []);
    assert_eq!(play.shutdown("guest-shutdown"), [QUIT]);
    assert_eq!(play.end(), End::Stopped { by: StopCause::Signal, clean: true });
}

#[test]
fn a_power_button_that_nobody_pressed_is_the_windows() {
    let mut play = Play::ready(false);
    assert_eq!(play.on(Event::Qmp(Message::Powerdown)), []);
    assert_eq!(play.after(20).iter().filter(|action| **action == QUIT).count(), 1);
    assert_eq!(play.end(), End::Stopped { by: StopCause::WindowClosed, clean: false });
}

#[test]
fn every_reason_to_shut_down_has_its_end() {
    let end = |reason: &str| {
        let mut play = Play::ready(false);
        play.shutdown(reason);
        play.end()
    };
    let closed = End::Stopped { by: StopCause::WindowClosed, clean: false };
    assert_eq!((end("host-ui"), end("host-qmp-quit")), (closed.clone(), closed));
    assert_eq!(end("guest-reset"), End::PoweredOff { session_status: None });
    for reason in ["guest-panic", "host-signal", "host-error", "of-a-later-qemu"] {
        assert!(matches!(end(reason), End::Died { .. }), "{reason}");
    }
}

#[test]
fn a_panic_after_the_session_is_still_told() {
    let mut play = Play::ready(false);
    play.on(Event::Control(Report::SessionExit { status: 0 }));
    assert_eq!(play.on(Event::Qmp(Message::Panicked)), [QUIT]);
    assert!(matches!(play.end(), End::Died { .. }));
}

#[test]
fn a_pause_is_asked_about_once_and_a_users_pause_is_no_failure() {
    let mut play = Play::ready(true);
    assert_eq!(play.on(Event::Qmp(Message::Stop)), [Action::Send(Command::Status)]);
    assert_eq!(play.on(Event::Qmp(Message::Stop)), []);
    assert_eq!(play.on(Event::Qmp(Message::Status("paused".into()))), []);
    assert_eq!(play.on(Event::Qmp(Message::Stop)), [Action::Send(Command::Status)]);
    assert_eq!(play.on(Event::Qmp(Message::Status("io-error".into()))), [QUIT]);
    let End::Died { reason, .. } = play.end() else { panic!() };
    assert!(reason.contains("disk full"), "{reason}");
}

const GL: Rungs = Rungs { accelerator: true, gl: true, window: true, checkpoint: false };

fn failure(play: Play) -> Option<Failure> {
    match play.end() {
        End::RungFailed { failure, .. } => Some(failure),
        _ => None,
    }
}

#[test]
fn a_silent_guest_is_the_accelerators_and_without_one_it_is_waited_for() {
    let silent = |rungs| {
        let mut play = Play::on_rungs(rungs);
        play.on(Event::Qmp(Message::Negotiated));
        play.on(Event::Qmp(Message::Status("running".into())));
        (play.after(31), play)
    };
    let (actions, play) = silent(GL);
    assert_eq!(actions, [QUIT]);
    assert_eq!(failure(play), Some(Failure::Accelerator));
    let (actions, mut play) = silent(Rungs { accelerator: false, ..GL });
    assert!(matches!(&actions[..], [Action::Say(said)] if said.contains("no sign of life")), "{actions:?}");
    assert_eq!(play.after(1000), []);
}

#[test]
fn a_guest_that_opens_no_session_takes_opengl_then_the_accelerator_and_then_is_waited_for() {
    let no_session = |rungs| {
        let mut play = Play::on_rungs(rungs);
        play.on(Event::Qmp(Message::Negotiated));
        play.on(Event::ConsoleByte);
        play.on(Event::Qmp(Message::Status("running".into())));
        let actions = play.after(101);
        (actions, failure(play))
    };
    assert_eq!(no_session(GL), (vec![QUIT], Some(Failure::Gl)));
    assert_eq!(no_session(Rungs { gl: false, ..GL }), (vec![QUIT], Some(Failure::Accelerator)));
    let (actions, failure) = no_session(Rungs { window: true, ..Rungs::default() });
    assert!(matches!(&actions[..], [Action::Say(_)]), "{actions:?}");
    assert_eq!(failure, None);
}

#[test]
fn a_guest_that_says_that_it_can_open_no_session_loses_opengl_first() {
    let failed = |rungs| {
        let mut play = Play::on_rungs(rungs);
        play.on(Event::Qmp(Message::Negotiated));
        play.on(Event::Control(Report::Failed { message: "no renderer".into() }));
        play.end()
    };
    assert!(matches!(failed(GL), End::RungFailed { failure: Failure::Gl, .. }));
    let End::Died { reason, .. } = failed(Rungs::default()) else { panic!() };
    assert_eq!(reason, "the guest can't open a session: no renderer");
}

#[test]
fn a_qemu_that_does_not_answer_loses_opengl_first_and_at_last_is_dead() {
    let unanswered = |rungs| {
        let mut play = Play::on_rungs(rungs);
        assert_eq!(play.after(31), [Action::Terminate]);
        failure(play)
    };
    assert_eq!(unanswered(GL), Some(Failure::Gl));
    assert_eq!(unanswered(Rungs { gl: false, ..GL }), Some(Failure::Window));
    assert_eq!(unanswered(Rungs::default()), None);
}

// Windows tells no kill from a status.
#[cfg(unix)]
#[test]
fn a_crash_before_the_session_takes_a_rung_and_a_kill_from_outside_does_not() {
    let ended = |play: Play, signal| play.machine.end(Exit::Signal(signal), Tails::default());
    let died = |end| matches!(end, End::Died { .. });
    let segv = nix::libc::SIGSEGV;
    let End::RungFailed { failure, because, .. } = ended(Play::on_rungs(GL), segv) else { panic!() };
    assert_eq!((failure, because.as_str()), (Failure::Gl, "QEMU was ended by SIGSEGV"));
    assert!(died(ended(Play::on_rungs(Rungs::default()), segv)));
    assert!(died(ended(Play::on_rungs(GL), nix::libc::SIGKILL)));
    assert!(died(ended(Play::ready(true), segv)));
}

#[test]
fn a_known_failure_after_the_session_was_ready_is_a_death() {
    let tails = || Tails { qemu: vec!["KVM internal error. Suberror: 1".into()], ..Tails::default() };
    let end = |play: Play| play.machine.end(Exit::Signal(6), tails());
    assert!(matches!(end(Play::booted(true)), End::RungFailed { .. }));
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
        Just(Event::Control(Report::SessionReady)),
        any::<i32>().prop_map(|status| Event::Control(Report::SessionExit { status })),
        Just(Event::Tick),
    ]
}

proptest! {
    #[test]
    fn whatever_came_before_a_request_to_stop_kills_in_the_end(
        accelerated: bool,
        events in proptest::collection::vec(any_event(), 0..20),
    ) {
        let mut play = Play::start(accelerated);
        let mut actions: Vec<_> = events.into_iter().flat_map(|event| play.on(event)).collect();
        actions.extend(play.on(Event::StopAsked));
        actions.extend(play.after(60));
        prop_assert_eq!(actions.iter().filter(|action| **action == Action::Kill).count(), 1);
    }

    #[test]
    fn stages_only_go_up(events in proptest::collection::vec(any_event(), 0..20)) {
        let mut play = Play::start(false);
        let mut stages = vec![Stage::Qemu];
        for action in events.into_iter().flat_map(|event| play.on(event)) {
            if let Action::Stage(stage) = action {
                stages.push(stage);
            }
        }
        prop_assert!(stages.is_sorted_by(|a, b| a < b));
    }
}
