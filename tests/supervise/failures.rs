//! What fails, and the result: a feature to disable, or a reason with the last lines.

use crate::os::CRASH;
use crate::scene::Scene;
use std::path::PathBuf;
use std::time::Duration;
use virtualghost::model::{Accelerator, Feature, Window};
use virtualghost::supervise::{End, Tails};

const SHORT: Duration = Duration::from_millis(500);

fn died(end: End) -> (String, Tails) {
    match end {
        End::Died { reason, tails } => (reason, tails),
        other => panic!("{other:?}"),
    }
}

fn failed(end: End) -> (Feature, String) {
    match end {
        End::FeatureFailed { feature, because } => (feature, because),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_early_exit_has_qemus_message_as_its_reason() {
    let words = "stderr=qemu-system-x86_64: -m 9T: cannot set up guest memory\\n";
    let (reason, tails) = died(Scene::new([words, "exit=1"]).end());
    assert!(reason.contains('1') && reason.contains("-m 9T: cannot set up guest memory"), "{reason}");
    assert_eq!(tails.qemu.len(), 1);
}

#[test]
fn qemus_message_identifies_the_failed_feature() {
    let of = |words: &str| failed(Scene::new([words, "exit=1"]).accelerated().end());
    let (feature, because) = of("stderr=qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0\\n");
    assert_eq!(
        (feature, because.as_str()),
        (Feature::Accelerator(Accelerator::Kvm), "failed to set MSR 0x10a to 0x0")
    );
    assert_eq!(of("stderr=OpenGL is not supported by display backend 'gtk'\\n").0, Feature::Gl);
    assert_eq!(of("stderr=gtk initialization failed\\n").0, Feature::Window(Window::Gtk));
}

#[test]
fn a_crash_in_kvm_is_a_failure_of_the_accelerator() {
    let steps = ["stderr=kvm_buf_set_msrs: Assertion `ret == cpu->kvm_msr_buf->nmsrs' failed.\\n", "abort"];
    assert_eq!(failed(Scene::new(steps).accelerated().end()).0, Feature::Accelerator(Accelerator::Kvm));
}

#[test]
fn a_vcpu_that_whpx_cannot_run_is_a_failure_of_the_accelerator_until_the_session_is_ready() {
    let stops = ["stderr=qemu-system-x86_64: WHPX: Unexpected VP exit code 4\\n", "guest-panic"];
    let early = Scene::new(["greet", "console=x"].into_iter().chain(stops)).accelerated();
    let (failure, because) = failed(early.end());
    assert_eq!(
        (failure, because.as_str()),
        (Feature::Accelerator(Accelerator::Kvm), "WHPX: Unexpected VP exit code 4")
    );
    died(Scene::booted(stops).accelerated().end());
}

#[test]
fn a_crash_without_a_message_names_the_signal() {
    let (reason, _) = died(Scene::booted(["abort"]).end());
    assert!(reason.contains(CRASH), "{reason}");
}

#[test]
fn an_internal_error_is_a_failure_of_the_accelerator_until_the_session_is_ready() {
    let early = Scene::new(["greet", "console=x", "internal-error"]).accelerated();
    assert_eq!(failed(early.end()).0, Feature::Accelerator(Accelerator::Kvm));
    let before_qmp = Scene::new(["console=x", "internal-error", "greet"]).accelerated();
    assert_eq!(failed(before_qmp.end()).0, Feature::Accelerator(Accelerator::Kvm));
    died(Scene::booted(["internal-error"]).accelerated().end());
    died(Scene::new(["greet", "internal-error"]).end());
}

#[test]
fn an_accelerated_guest_with_a_silent_console_is_stopped_at_its_time_limit() {
    // Long enough for QEMU's answer on a busy machine.
    let silent = Scene::new(["greet"]).accelerated().limits(|limits| limits.boot = Duration::from_secs(4));
    let (failure, because) = failed(silent.end());
    assert!(
        failure == Feature::Accelerator(Accelerator::Kvm) && because.contains("4 s"),
        "{failure:?}: {because}"
    );
}

#[test]
fn a_qemu_that_hangs_before_its_greeting_is_killed() {
    let hangs = Scene::new(["ignore-quit"]).limits(|limits| (limits.boot, limits.quit) = (SHORT, SHORT));
    let (reason, _) = died(hangs.end());
    assert!(reason.contains("0.5 s"), "{reason}");
}

#[test]
fn a_qemu_that_closes_qmp_and_keeps_running_is_killed() {
    let stays = Scene::booted(["close-qmp"]).limits(|limits| limits.quit = SHORT);
    died(stays.end());
}

#[test]
fn a_panic_has_the_last_lines_of_the_console() {
    let steps = ["console=\\e[31mKernel panic - not syncing: test\\e[0m\\n", "guest-panic"];
    let (_, tails) = died(Scene::booted(steps).end());
    assert_eq!(tails.console.last().unwrap(), "Kernel panic - not syncing: test");
}

#[test]
fn a_reset_during_the_boot_is_a_failure() {
    died(Scene::new(["greet", "console=x", "guest-reset"]).end());
}

#[test]
fn a_missing_program_is_an_error_with_its_path() {
    let mut scene = Scene::new([]);
    scene.launch.program = "/nowhere/qemu".into();
    let error = scene.try_play().err().unwrap();
    assert!(format!("{error:#}").contains("/nowhere/qemu"), "{error:#}");
}

#[test]
fn the_logs_have_the_output_of_qemu_and_the_console() {
    let scene = Scene::booted(["stderr=a warning\\n", "guest-poweroff"]);
    scene.end();
    let read = |path: &Option<PathBuf>| std::fs::read_to_string(path.as_ref().unwrap()).unwrap();
    assert_eq!(read(&scene.launch.qemu_log), "a warning\n");
    assert!(read(&scene.launch.console_log).starts_with("[    0.000000] Linux version"));
}
