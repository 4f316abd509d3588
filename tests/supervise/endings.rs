//! How a VM that came up ends, and how it is ended.

use crate::os::{self, is_gone, open_handles, threads};
use crate::scene::{BOOT, Scene, eventually, pid_in};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use virtualghost::supervise::{End, Stage, Status, StopCause, run};

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_session_is_followed_from_qemu_to_the_power_off() {
    let seen =
        Scene::booted(["control={\"event\":\"session-exit\",\"status\":3}\\n", "guest-poweroff"]).play();
    assert_eq!(seen.end, End::PoweredOff { session_status: Some(3) });
    assert_eq!(seen.stages, [Stage::Qemu, Stage::Kernel, Stage::Services, Stage::Ready]);
}

#[test]
fn a_power_off_without_a_session_is_one_too() {
    assert_eq!(
        Scene::new(["greet", "console=x", "guest-poweroff"]).end(),
        End::PoweredOff { session_status: None }
    );
}

#[test]
fn a_restart_ends_the_vm() {
    assert_eq!(Scene::booted(["guest-reset"]).end(), End::PoweredOff { session_status: None });
}

#[test]
fn a_guest_that_can_not_power_off_after_its_session_is_ended() {
    let steps = ["ignore-powerdown", "control={\"event\":\"session-exit\",\"status\":0}\\n"];
    let scene = Scene::booted(steps).limits(|limits| limits.poweroff = SHORT);
    assert_eq!(scene.end(), End::PoweredOff { session_status: Some(0) });
}

#[test]
fn a_request_to_stop_powers_the_guest_off() {
    let seen = Scene::booted([]).stopped_at_ready(1).play();
    assert_eq!(seen.end, End::Stopped { by: StopCause::Signal, clean: true });
    assert!(seen.said[0].contains("powers off"), "{:?}", seen.said);
}

#[test]
fn a_guest_that_ignores_its_power_button_is_quit() {
    let scene = Scene::new(["ignore-powerdown"].into_iter().chain(BOOT))
        .stopped_at_ready(1)
        .limits(|limits| limits.poweroff = SHORT);
    let seen = scene.play();
    assert_eq!(seen.end, End::Stopped { by: StopCause::Signal, clean: false });
    assert!(seen.said[1].contains("did not power off in time"), "{:?}", seen.said);
}

#[test]
fn a_qemu_that_ignores_everything_is_killed() {
    let scene = Scene::new(["ignore-powerdown", "ignore-quit"].into_iter().chain(BOOT))
        .stopped_at_ready(1)
        .limits(|limits| (limits.poweroff, limits.quit) = (SHORT, SHORT));
    assert_eq!(scene.end(), End::Stopped { by: StopCause::Signal, clean: false });
}

#[test]
fn who_asks_again_does_not_wait_for_the_limits() {
    let deaf = || Scene::new(["ignore-powerdown"].into_iter().chain(BOOT));
    assert_eq!(deaf().stopped_at_ready(2).end(), End::Stopped { by: StopCause::Signal, clean: false });
    let deafer = || Scene::new(["ignore-powerdown", "ignore-quit"].into_iter().chain(BOOT));
    assert_eq!(deafer().stopped_at_ready(3).end(), End::Stopped { by: StopCause::Signal, clean: false });
}

#[test]
fn a_request_that_came_before_the_start_is_not_lost() {
    let scene = Scene::booted([]);
    scene.signals.raise();
    assert!(matches!(scene.end(), End::Stopped { by: StopCause::Signal, .. }));
}

#[test]
fn the_windows_power_button_is_a_request_to_stop() {
    let window_closed = |clean| End::Stopped { by: StopCause::WindowClosed, clean };
    assert_eq!(Scene::booted(["power-button"]).end(), window_closed(true));
    let deaf = Scene::booted(["ignore-powerdown", "power-button"]).limits(|limits| limits.poweroff = SHORT);
    assert_eq!(deaf.end(), window_closed(false));
}

#[test]
fn a_window_that_ends_qemu_is_no_crash() {
    let end = Scene::booted(["close-window"]).end();
    assert_eq!(end, End::Stopped { by: StopCause::WindowClosed, clean: false });
}

#[test]
fn a_guest_that_floods_loses_nothing_that_matters() {
    for flood in ["flood-console", "flood-control", "flood-qmp", "flood-stderr"] {
        let scene = Scene::booted([flood, "control=\\n{\"event\":\"session-exit\",\"status\":4}\\n"]);
        assert_eq!(scene.end(), End::PoweredOff { session_status: Some(4) }, "{flood}");
        for log in [&scene.launch.console_log, &scene.launch.qemu_log].into_iter().flatten() {
            assert!(log.metadata().unwrap().len() <= 16 << 20, "{flood}");
        }
    }
}

#[test]
fn a_guest_has_a_few_sentences_for_the_user_and_no_more() {
    let notice = "control={\"event\":\"notice\",\"message\":\"a\\u001b[2Jb\"}\\n";
    let steps = [notice; 20].into_iter().chain(["control={\"event\":\"session-exit\",\"status\":0}\\n"]);
    assert_eq!(Scene::booted(steps).play().said, ["the guest: ab"; 5]);
}

#[test]
fn garbage_on_every_channel_is_passed_over() {
    let end = Scene::booted([
        "qmp=garbage\\n{}\\n[1]\\n{\"event\":\"NEW\"}\\n{\"return\":[]}\\n\\n",
        "control=garbage\\n{\"event\":\"new\"}\\n\\n{\"event\":\"session-exit\"}\\n",
        "control={\"event\":\"session-exit\",\"status\":5}\\n",
    ]);
    assert_eq!(end.end(), End::PoweredOff { session_status: Some(5) });
}

#[test]
fn nothing_stays_behind() {
    let mut scene = Scene::booted(["guest-poweroff"]);
    let pid_path = scene.pid_path();
    scene.end();
    assert!(is_gone(pid_in(&pid_path)));
    // Other tests open some meanwhile, but they do not pile up.
    let before = open_handles();
    for _ in 0..50 {
        scene.end();
    }
    assert!(open_handles() < before + 100);
    eventually("the readers end", || (threads() < 100).then_some(()));
}

/// A launcher with a bug.
struct Panics;

impl Status for Panics {
    fn stage(&mut self, stage: Stage, _: Duration) {
        assert!(stage != Stage::Ready, "on purpose");
    }
    fn tick(&mut self, _: Duration) {}
    fn say(&mut self, _: &str) {}
    fn done(&mut self) {}
}

#[test]
fn a_launcher_that_panics_leaves_no_qemu() {
    let mut scene = Scene::new(BOOT);
    let pid_path = scene.pid_path();
    let (launch, signals) = (&scene.launch, &scene.signals);
    std::panic::catch_unwind(AssertUnwindSafe(|| run(launch, &mut Panics, signals))).unwrap_err();
    assert!(is_gone(pid_in(&pid_path)));
}

#[test]
fn qemu_gets_the_environment_of_the_launch_and_no_other() {
    let mut scene = Scene::new([]);
    let path = scene.folder.path().join("environment");
    let steps = [format!("write-environment={}", path.display()).into(), "exit=0".into()];
    scene.launch.args.extend(steps);
    scene.launch.environment = vec![("ONLY".into(), "this".into())];
    scene.end();
    let given = std::fs::read_to_string(path).unwrap();
    let names = given.lines().filter_map(|line| line.split('=').next());
    let names: Vec<_> = names.filter(|name| !os::is_added(name)).collect();
    assert!(given.contains("ONLY=this") && names == ["ONLY"], "{given}");
}
