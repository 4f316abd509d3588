//! How a VM that booted ends: by itself, by its guest, and on request.

use crate::os::{self, is_gone, open_handles, threads};
use crate::scene::{BOOT, Scene, eventually, pid_in};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use virtualghost::supervise::{End, Stage, StopCause, Vm, VmEvent};

/// By itself, after its session was ready.
fn powered_off(session_status: Option<i32>) -> End {
    End::PoweredOff { session_status, premature: false, clean: true }
}

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_session_is_followed_from_qemu_to_the_power_off() {
    let seen =
        Scene::booted(["control={\"event\":\"session-exit\",\"status\":3}\\n", "guest-poweroff"]).play();
    assert_eq!(seen.end, powered_off(Some(3)));
    assert_eq!(seen.stages, [Stage::Qemu, Stage::Kernel, Stage::Services, Stage::Ready]);
}

#[test]
fn a_power_off_without_a_session_is_a_power_off() {
    assert_eq!(
        Scene::new(["greet", "console=x", "guest-poweroff"]).end(),
        End::PoweredOff { session_status: None, premature: true, clean: true }
    );
}

#[test]
fn a_restart_ends_the_vm() {
    assert_eq!(Scene::booted(["guest-reset"]).end(), powered_off(None));
}

#[test]
fn a_guest_that_does_not_power_off_after_its_session_is_stopped() {
    let steps = ["ignore-powerdown", "control={\"event\":\"session-exit\",\"status\":0}\\n"];
    let scene = Scene::booted(steps).limits(|limits| limits.poweroff = SHORT);
    assert_eq!(scene.end(), End::PoweredOff { session_status: Some(0), premature: false, clean: false });
}

#[test]
fn a_request_to_stop_powers_the_guest_off() {
    let seen = Scene::booted([]).stopped_at_ready(1).play();
    assert_eq!(seen.end, End::Stopped { by: StopCause::Signal, clean: true });
    assert_eq!(seen.notices.len(), 1, "{:?}", seen.notices);
}

#[test]
fn if_a_guest_ignores_its_power_button_qemu_is_quit() {
    let scene = Scene::new(["ignore-powerdown"].into_iter().chain(BOOT))
        .stopped_at_ready(1)
        .limits(|limits| limits.poweroff = SHORT);
    let seen = scene.play();
    assert_eq!(seen.end, End::Stopped { by: StopCause::Signal, clean: false });
    assert_eq!(seen.notices.len(), 2, "{:?}", seen.notices);
}

#[test]
fn a_qemu_that_ignores_everything_is_killed() {
    let scene = Scene::new(["ignore-powerdown", "ignore-quit"].into_iter().chain(BOOT))
        .stopped_at_ready(1)
        .limits(|limits| (limits.poweroff, limits.quit) = (SHORT, SHORT));
    assert_eq!(scene.end(), End::Stopped { by: StopCause::Signal, clean: false });
}

#[test]
fn a_repeated_request_does_not_wait_for_the_time_limits() {
    let ignores_powerdown = || Scene::new(["ignore-powerdown"].into_iter().chain(BOOT));
    assert_eq!(
        ignores_powerdown().stopped_at_ready(2).end(),
        End::Stopped { by: StopCause::Signal, clean: false }
    );
    let ignores_both = || Scene::new(["ignore-powerdown", "ignore-quit"].into_iter().chain(BOOT));
    assert_eq!(
        ignores_both().stopped_at_ready(3).end(),
        End::Stopped { by: StopCause::Signal, clean: false }
    );
}

#[test]
fn a_request_that_came_before_the_start_is_not_lost() {
    let scene = Scene::booted([]);
    scene.stop.request();
    assert!(matches!(scene.end(), End::Stopped { by: StopCause::Signal, .. }));
}

#[test]
fn the_windows_power_button_is_a_request_to_stop() {
    let window_closed = |clean| End::Stopped { by: StopCause::WindowClosed, clean };
    assert_eq!(Scene::booted(["power-button"]).end(), window_closed(true));
    let ignored =
        Scene::booted(["ignore-powerdown", "power-button"]).limits(|limits| limits.poweroff = SHORT);
    assert_eq!(ignored.end(), window_closed(false));
}

#[test]
fn a_window_that_ends_qemu_is_no_crash() {
    let end = Scene::booted(["close-window"]).end();
    assert_eq!(end, End::Stopped { by: StopCause::WindowClosed, clean: false });
}

#[test]
fn a_guest_that_floods_a_channel_loses_no_event() {
    for flood in ["flood-console", "flood-control", "flood-qmp", "flood-stderr"] {
        let scene = Scene::booted([flood, "control=\\n{\"event\":\"session-exit\",\"status\":4}\\n"]);
        assert_eq!(scene.end(), powered_off(Some(4)), "{flood}");
        for log in [&scene.launch.console_log, &scene.launch.qemu_log].into_iter().flatten() {
            assert!(log.metadata().unwrap().len() <= 16 << 20, "{flood}");
        }
    }
}

#[test]
fn a_guest_prints_at_most_five_notices() {
    let notice = "control={\"event\":\"notice\",\"message\":\"a\\u001b[2Jb\"}\\n";
    let steps = [notice; 20].into_iter().chain(["control={\"event\":\"session-exit\",\"status\":0}\\n"]);
    let notices = Scene::booted(steps).play().notices;
    assert!(notices.len() == 5 && notices.iter().all(|notice| notice.ends_with("ab")), "{notices:?}");
}

#[test]
fn garbage_on_every_channel_is_ignored() {
    let end = Scene::booted([
        "qmp=garbage\\n{}\\n[1]\\n{\"event\":\"NEW\"}\\n{\"return\":[]}\\n\\n",
        "control=garbage\\n{\"event\":\"new\"}\\n\\n{\"event\":\"session-exit\"}\\n",
        "control={\"event\":\"session-exit\",\"status\":5}\\n",
    ]);
    assert_eq!(end.end(), powered_off(Some(5)));
}

#[test]
fn no_process_handle_or_thread_remains() {
    let mut scene = Scene::booted(["guest-poweroff"]);
    let pid_path = scene.pid_path();
    scene.end();
    assert!(is_gone(pid_in(&pid_path)));
    // Other tests open some at the same time, but they do not accumulate.
    let before = open_handles();
    for _ in 0..50 {
        scene.end();
    }
    assert!(open_handles() < before + 100);
    eventually("the readers end", || (threads() < 100).then_some(()));
}

#[test]
fn a_launcher_that_panics_leaves_no_qemu() {
    let mut scene = Scene::new(BOOT);
    let pid_path = scene.pid_path();
    let (launch, stop) = (&scene.launch, &scene.stop);
    let launcher = || {
        let mut vm = Vm::start(launch, stop).unwrap();
        while let Some(event) = vm.next_event().unwrap() {
            assert!(!matches!(event, VmEvent::Stage { stage: Stage::Ready, .. }), "on purpose");
        }
    };
    std::panic::catch_unwind(AssertUnwindSafe(launcher)).unwrap_err();
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

#[test]
fn a_vm_that_a_full_disk_has_paused_is_resumed_and_ends_as_any_other() {
    let scene = Scene::booted(["io-error"]);
    let mut vm = Vm::start(&scene.launch, &scene.stop).unwrap();
    let mut seen = Vec::new();
    while let Some(event) = vm.next_event().unwrap() {
        match event {
            VmEvent::Stage { stage, .. } => scene.mark(stage),
            VmEvent::Paused => vm.resume(),
            VmEvent::Resumed => scene.stop.request(),
            _ => continue,
        }
        seen.push(event);
    }
    assert!(seen.ends_with(&[VmEvent::Paused, VmEvent::Resumed]), "{seen:?}");
    assert_eq!(vm.end(), End::Stopped { by: StopCause::Signal, clean: true });
}
