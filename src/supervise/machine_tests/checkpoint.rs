use super::*;
use crate::supervise::checkpoint::{Checkpoint, From};
use crate::supervise::qmp::Step;

fn entry() -> Entry {
    let home = crate::supervise::HomeDisk { path: "/homes/a.img".into(), bytes: 4096 };
    Entry { host_name: "a".into(), entropy: "00".into(), home: Some(home), credentials: vec![] }
}

fn steps(play: &mut Play, mut actions: Vec<Action>, failing: Option<Step>) -> (Vec<Step>, Vec<Action>) {
    let mut taken = Vec::new();
    loop {
        let step = match actions.last() {
            Some(Action::Send(Command::Step(step, _))) => *step,
            _ => return (taken, actions),
        };
        taken.push(step);
        let answer = match step {
            _ if failing == Some(step) => Message::Refused(step, "no room".into()),
            Step::Save | Step::Restore => {
                assert_eq!(play.on(Event::Qmp(Message::Done(step))), []);
                assert_eq!(play.on(Event::Qmp(Message::Migration("active".into()))), []);
                Message::Migration("completed".into())
            }
            _ => Message::Done(step),
        };
        actions = play.on(Event::Qmp(answer));
    }
}

const SAVES: [Step; 4] = [Step::Pause, Step::LeaveDisk, Step::SetUp, Step::Save];
const ENTERS: [Step; 4] = [Step::OpenHome, Step::AttachHome, Step::Resume, Step::SizeHome];

fn at_checkpoint(entry: Option<Entry>) -> (Play, Vec<Action>) {
    let start = From::Boot { memory: "/c/memory".into(), overlay: "/o/root".into() };
    let mut play = Play::with(Rungs::default(), Some(Checkpoint { start, entry }));
    for event in [Event::Qmp(Message::Greeting), Event::Qmp(Message::Negotiated), Event::ConsoleByte] {
        play.on(event);
    }
    let actions = play.on(Event::Control(Report::Checkpoint));
    // A guest says it once.
    assert_eq!(play.on(Event::Control(Report::Checkpoint)), []);
    (play, actions)
}

#[test]
fn a_guest_at_its_checkpoint_is_saved_and_then_told_who_it_is() {
    let (mut play, actions) = at_checkpoint(Some(entry()));
    let (taken, actions) = steps(&mut play, actions, None);
    assert_eq!(taken, [&SAVES[..], &ENTERS].concat());
    assert_eq!(actions, [Action::Enter(entry())]);
    assert_eq!(play.on(Event::Control(Report::SessionReady)), [Action::Stage(Stage::Ready)]);
}

fn is_resume(action: &Action) -> bool {
    matches!(action, Action::Send(Command::Step(Step::Resume, _)))
}

#[test]
fn a_vm_that_may_not_run_yet_is_let_run_again() {
    let (mut play, mut actions) = at_checkpoint(Some(Entry { home: None, ..entry() }));
    while let Some(&Action::Send(Command::Step(step, _))) = actions.last().filter(|last| !is_resume(last)) {
        actions = play.on(Event::Qmp(match step {
            Step::Save => Message::Migration("completed".into()),
            _ => Message::Done(step),
        }));
    }
    assert!(is_resume(actions.last().unwrap()), "{actions:?}");
    let again = play.on(Event::Qmp(Message::Refused(Step::Resume, "Migration is not finalized yet".into())));
    assert!(is_resume(&again[0]), "{again:?}");
    assert!(matches!(play.on(Event::Qmp(Message::Done(Step::Resume)))[..], [Action::Enter(_)]));
}

#[test]
fn a_vm_that_is_only_to_be_saved_ends_then_and_fails_if_it_was_not() {
    let (mut play, actions) = at_checkpoint(None);
    let (taken, actions) = steps(&mut play, actions, None);
    assert_eq!((taken, actions), (SAVES.to_vec(), vec![Action::Saved, QUIT]));
    assert_eq!(play.end(), End::Saved);

    let (mut play, actions) = at_checkpoint(None);
    let (_, actions) = steps(&mut play, actions, Some(Step::Save));
    assert_eq!(actions, [QUIT]);
    let End::Died { reason, .. } = play.end() else { panic!() };
    assert!(reason.contains("no room"), "{reason}");
}

#[test]
fn a_vm_that_can_not_be_saved_runs_all_the_same() {
    for (failing, taken_before) in [(Step::Save, 4), (Step::LeaveDisk, 2)] {
        let (mut play, actions) = at_checkpoint(Some(entry()));
        let (taken, actions) = steps(&mut play, actions, Some(failing));
        assert_eq!(taken, [&SAVES[..taken_before], &ENTERS].concat());
        assert_eq!(actions, [Action::Enter(entry())]);
    }
}

fn restoring() -> (Play, Vec<Action>) {
    let start = From::Saved { memory: "/c/memory".into() };
    let rungs = Rungs { checkpoint: true, ..Rungs::default() };
    let mut play = Play::with(rungs, Some(Checkpoint { start, entry: Some(entry()) }));
    play.on(Event::Qmp(Message::Greeting));
    let actions = play.on(Event::Qmp(Message::Negotiated));
    (play, actions)
}

#[test]
fn a_saved_vm_is_restored_and_told_who_it_is() {
    let (mut play, actions) = restoring();
    let (taken, actions) = steps(&mut play, actions, None);
    assert_eq!(taken, [&[Step::SetUp, Step::Restore][..], &ENTERS].concat());
    assert_eq!(actions, [Action::Enter(entry())]);
}

#[test]
fn a_saved_vm_that_does_not_start_is_what_the_launch_does_without() {
    for failing in [Step::Restore, Step::AttachHome] {
        let (mut play, actions) = restoring();
        let (_, actions) = steps(&mut play, actions, Some(failing));
        assert_eq!(actions, [QUIT]);
        let End::RungFailed { failure, because, .. } = play.end() else { panic!() };
        assert_eq!(failure, Failure::Checkpoint);
        assert!(because.contains("no room"), "{because}");
    }
    // A QEMU that can't read it just ends.
    let (play, _) = restoring();
    let End::RungFailed { failure, .. } = play.end() else { panic!() };
    assert_eq!(failure, Failure::Checkpoint);
    // One that never comes to an end with it is not waited for.
    let (mut play, _) = restoring();
    play.now += LIMITS.life;
    assert_eq!(play.on(Event::Tick), [QUIT]);
    assert_eq!(self::failure(play), Some(Failure::Checkpoint));
}
