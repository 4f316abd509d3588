use super::*;
use crate::checkpoint::{CheckpointPlan, CheckpointSource, HomeDisk, Resume};
use crate::protocol::GuestIdentity;
use crate::qemu::qmp::Step;

fn resume() -> Resume {
    let identity = GuestIdentity {
        host_name: "a".into(),
        timezone: "UTC".into(),
        clock: 0,
        entropy: "00".into(),
        safe: false,
        home: true,
        doors: None,
        credentials: Default::default(),
    };
    Resume {
        identity,
        home: Some(HomeDisk { path: "/homes/a.img".into(), bytes: 4096 }),
        shares: vec![serde_json::json!({ "driver": "a" })],
    }
}

fn steps(play: &mut Play, mut actions: Vec<Action>, failing: Option<Step>) -> (Vec<Step>, Vec<Action>) {
    let mut done = Vec::new();
    loop {
        let step = match actions.last() {
            Some(Action::Send(Command::Step(step, _))) => *step,
            _ => return (done, actions),
        };
        done.push(step);
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

const SAVES: [Step; 4] = [Step::Pause, Step::SnapshotRootDisk, Step::SetCapabilities, Step::Save];
const RESUMES: [Step; 5] = [Step::PlugShare, Step::OpenHome, Step::AttachHome, Step::Resume, Step::SizeHome];

fn at_checkpoint(resume: Option<Resume>) -> (Play, Vec<Action>) {
    let source = CheckpointSource::Boot { memory: "/c/memory".into(), overlay: "/o/root".into() };
    let mut play = Play::with(&[], Some(CheckpointPlan { source, resume }));
    for event in [Event::Qmp(Message::Greeting), Event::Qmp(Message::Negotiated), Event::ConsoleByte] {
        play.on(event);
    }
    let actions = play.on(Event::Guest(GuestEvent::Checkpoint));
    // A guest reports it once.
    assert_eq!(play.on(Event::Guest(GuestEvent::Checkpoint)), []);
    (play, actions)
}

#[test]
fn a_guest_at_its_checkpoint_is_saved_and_then_gets_its_identity() {
    let (mut play, actions) = at_checkpoint(Some(resume()));
    let (done, actions) = steps(&mut play, actions, None);
    assert_eq!(done, [&SAVES[..], &RESUMES].concat());
    assert_eq!(actions, [Action::SendIdentity(resume().identity)]);
    let ready = play.on(Event::Guest(GuestEvent::SessionReady));
    assert_eq!(ready, [Action::Reach(Stage::Ready), Action::ReleaseKeys]);
}

fn is_resume(action: &Action) -> bool {
    matches!(action, Action::Send(Command::Step(Step::Resume, _)))
}

#[test]
fn a_resume_that_is_too_early_is_retried() {
    let (mut play, mut actions) = at_checkpoint(Some(Resume { home: None, ..resume() }));
    while let Some(&Action::Send(Command::Step(step, _))) = actions.last().filter(|last| !is_resume(last)) {
        actions = play.on(Event::Qmp(match step {
            Step::Save => Message::Migration("completed".into()),
            _ => Message::Done(step),
        }));
    }
    assert!(is_resume(actions.last().unwrap()), "{actions:?}");
    let again = play.on(Event::Qmp(Message::Refused(Step::Resume, "Migration is not finalized yet".into())));
    assert!(is_resume(&again[0]), "{again:?}");
    assert!(matches!(play.on(Event::Qmp(Message::Done(Step::Resume)))[..], [Action::SendIdentity(_)]));
}

#[test]
fn a_vm_that_is_started_for_a_checkpoint_ends_when_it_is_saved_and_fails_otherwise() {
    let (mut play, actions) = at_checkpoint(None);
    let (done, actions) = steps(&mut play, actions, None);
    assert_eq!((done, actions), (SAVES.to_vec(), vec![Action::Emit(VmEvent::CheckpointSaved), QUIT]));
    assert_eq!(play.end(), End::Saved);

    let (mut play, actions) = at_checkpoint(None);
    let (_, actions) = steps(&mut play, actions, Some(Step::Save));
    assert_eq!(actions, [QUIT]);
    let End::Died { reason, .. } = play.end() else { panic!() };
    assert!(reason.contains("no room"), "{reason}");
}

#[test]
fn a_vm_that_can_not_be_saved_continues() {
    for (failing, done_before) in [(Step::Save, 4), (Step::SnapshotRootDisk, 2)] {
        let (mut play, actions) = at_checkpoint(Some(resume()));
        let (done, actions) = steps(&mut play, actions, Some(failing));
        assert_eq!(done, [&SAVES[..done_before], &RESUMES].concat());
        assert_eq!(actions, [Action::SendIdentity(resume().identity)]);
    }
}

fn restoring() -> (Play, Vec<Action>) {
    let source = CheckpointSource::Saved { memory: "/c/memory".into() };
    let mut play =
        Play::with(&[Feature::Checkpoint], Some(CheckpointPlan { source, resume: Some(resume()) }));
    play.on(Event::Qmp(Message::Greeting));
    let actions = play.on(Event::Qmp(Message::Negotiated));
    (play, actions)
}

#[test]
fn a_checkpoint_is_restored_and_the_vm_gets_its_identity() {
    let (mut play, actions) = restoring();
    let (done, actions) = steps(&mut play, actions, None);
    assert_eq!(done, [&[Step::SetCapabilities, Step::Restore][..], &RESUMES].concat());
    assert_eq!(actions, [Action::SendIdentity(resume().identity)]);
}

#[test]
fn a_checkpoint_that_does_not_start_is_a_failed_feature() {
    for failing in [Step::Restore, Step::AttachHome] {
        let (mut play, actions) = restoring();
        let (_, actions) = steps(&mut play, actions, Some(failing));
        assert_eq!(actions, [QUIT]);
        let End::FeatureFailed { feature, because } = play.end() else { panic!() };
        assert_eq!(feature, Feature::Checkpoint);
        assert!(because.contains("no room"), "{because}");
    }
    // A QEMU that can't read it just ends.
    let (play, _) = restoring();
    let End::FeatureFailed { feature, .. } = play.end() else { panic!() };
    assert_eq!(feature, Feature::Checkpoint);
    // One that never comes to an end with it is not waited for.
    let (mut play, _) = restoring();
    play.now += LIMITS.boot;
    assert_eq!(play.on(Event::Tick), [QUIT]);
    assert_eq!(failure(play), Some(Feature::Checkpoint));
}
