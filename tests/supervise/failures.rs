//! What goes wrong, and what is made of it: another rung, or a reason with the last lines.

use crate::os::CRASH;
use crate::scene::Scene;
use std::path::PathBuf;
use std::time::Duration;
use virtualghost::supervise::{End, Failure, Tails};

const SHORT: Duration = Duration::from_millis(500);

fn died(end: End) -> (String, Tails) {
    match end {
        End::Died { reason, tails } => (reason, tails),
        other => panic!("{other:?}"),
    }
}

fn failed(end: End) -> (Failure, String) {
    match end {
        End::RungFailed { failure, because, .. } => (failure, because),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_early_exit_is_told_with_qemus_own_words() {
    let words = "stderr=qemu-system-x86_64: -m 9T: cannot set up guest memory\\n";
    let (reason, tails) = died(Scene::new([words, "exit=1"]).end());
    assert_eq!(reason, "QEMU ended with status 1: -m 9T: cannot set up guest memory");
    assert_eq!(tails.qemu.len(), 1);
}

#[test]
fn each_rung_that_does_not_bear_is_known_by_qemus_words() {
    let of = |words: &str| failed(Scene::new([words, "exit=1"]).accelerated().end());
    let (failure, because) = of("stderr=qemu-system-x86_64: error: failed to set MSR 0x10a to 0x0\\n");
    assert_eq!((failure, because.as_str()), (Failure::Accelerator, "failed to set MSR 0x10a to 0x0"));
    assert_eq!(of("stderr=OpenGL is not supported by display backend 'gtk'\\n").0, Failure::Gl);
    assert_eq!(of("stderr=gtk initialization failed\\n").0, Failure::Window);
}

#[test]
fn a_crash_in_kvm_is_the_accelerators() {
    let steps = ["stderr=kvm_buf_set_msrs: Assertion `ret == cpu->kvm_msr_buf->nmsrs' failed.\\n", "abort"];
    assert_eq!(failed(Scene::new(steps).accelerated().end()).0, Failure::Accelerator);
}

#[test]
fn a_vcpu_that_whpx_can_not_run_is_the_accelerators_until_the_session_is_ready() {
    let stops = ["stderr=qemu-system-x86_64: WHPX: Unexpected VP exit code 4\\n", "guest-panic"];
    let early = Scene::new(["greet", "console=x"].into_iter().chain(stops)).accelerated();
    let (failure, because) = failed(early.end());
    assert_eq!((failure, because.as_str()), (Failure::Accelerator, "WHPX: Unexpected VP exit code 4"));
    assert_eq!(died(Scene::booted(stops).accelerated().end()).0, "the guest's kernel panicked");
}

#[test]
fn a_crash_without_a_word_names_the_signal() {
    assert_eq!(died(Scene::booted(["abort"]).end()).0, format!("QEMU was ended by {CRASH}"));
}

#[test]
fn an_internal_error_is_the_accelerators_until_the_session_is_ready() {
    let early = Scene::new(["greet", "console=x", "internal-error"]).accelerated();
    assert_eq!(failed(early.end()).0, Failure::Accelerator);
    let before_qmp = Scene::new(["console=x", "internal-error", "greet"]).accelerated();
    assert_eq!(failed(before_qmp.end()).0, Failure::Accelerator);
    assert!(died(Scene::booted(["internal-error"]).accelerated().end()).0.contains("internal error"));
    assert!(died(Scene::new(["greet", "internal-error"]).end()).0.contains("internal error"));
}

#[test]
fn an_accelerated_guest_that_shows_no_sign_of_life_is_given_up() {
    // Long enough for QEMU's answer on a busy machine.
    let silent = Scene::new(["greet"]).accelerated().limits(|limits| limits.life = Duration::from_secs(4));
    let (failure, because) = failed(silent.end());
    assert_eq!(
        (failure, because.as_str()),
        (Failure::Accelerator, "the guest showed no sign of life in 4 s")
    );
}

#[test]
fn a_qemu_that_hangs_before_its_greeting_is_ended() {
    let hangs = Scene::new(["ignore-quit"]).limits(|limits| (limits.life, limits.quit) = (SHORT, SHORT));
    assert_eq!(died(hangs.end()).0, "QEMU did not answer in 0.5 s");
}

#[test]
fn a_qemu_that_hangs_up_and_stays_is_ended() {
    let stays = Scene::booted(["close-qmp"]).limits(|limits| limits.quit = SHORT);
    assert!(died(stays.end()).0.contains("closed its control channel"));
}

#[test]
fn a_panic_is_told_with_the_consoles_last_lines() {
    let steps = ["console=\\e[31mKernel panic - not syncing: test\\e[0m\\n", "guest-panic"];
    let (reason, tails) = died(Scene::booted(steps).end());
    assert_eq!(reason, "the guest's kernel panicked");
    assert_eq!(tails.console.last().unwrap(), "Kernel panic - not syncing: test");
}

#[test]
fn a_guest_that_resets_itself_while_it_boots_has_failed() {
    let (reason, _) = died(Scene::new(["greet", "console=x", "guest-reset"]).end());
    assert!(reason.contains("reset itself"), "{reason}");
}

#[test]
fn a_program_that_is_not_there_is_an_error_with_its_path() {
    let mut scene = Scene::new([]);
    scene.launch.program = "/nowhere/qemu".into();
    let error = scene.try_play().err().unwrap();
    assert!(format!("{error:#}").contains("/nowhere/qemu"), "{error:#}");
}

#[test]
fn the_logs_have_what_was_said() {
    let scene = Scene::booted(["stderr=a warning\\n", "guest-poweroff"]);
    scene.end();
    let read = |path: &Option<PathBuf>| std::fs::read_to_string(path.as_ref().unwrap()).unwrap();
    assert_eq!(read(&scene.launch.qemu_log), "a warning\n");
    assert!(read(&scene.launch.console_log).starts_with("[    0.000000] Linux version"));
}
