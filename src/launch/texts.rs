//! The notices of a launch.

use super::endings::*;
use super::*;
use crate::config::Config;
use crate::host::{Availability, HostFacts};
use crate::instance::VmFiles;
use crate::launch::age;
use crate::model::{Accelerator, Arch, Os, VmSpec};
use crate::plan;
use crate::supervise::Tails;
use crate::testing::{Texts, assert_texts, host, own, spec, vm};
use std::time::Duration;

#[derive(Default)]
struct Notices(Vec<String>);

impl Reporter for Notices {
    fn stage(&mut self, _: Stage, _: Duration) {}
    fn tick(&mut self, _: Duration) {}
    fn notice(&mut self, sentence: &str) {
        self.0.push(sentence.to_owned());
    }
    fn done(&mut self) {}
}

fn old_qemu() -> String {
    let now = humantime::parse_rfc3339("2026-11-28T12:00:00Z").unwrap();
    age::sentence(&age::tests::qemu(Some("2026-08-20")), now).unwrap()
}

#[test]
fn notices_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (_, artifacts) = own(&host(Os::Linux), folder.path());
    let no_kvm = host(Os::Linux).disable(Feature::Accelerator(Accelerator::Kvm), "there is no /dev/kvm");
    let mut texts = Texts::default();
    for (about, facts, text) in [
        ("nothing", host(Os::Linux), ""),
        ("no window", host(Os::Linux), "display = \"none\""),
        ("TCG", no_kvm, ""),
        ("no jail", host(Os::Linux), "jail = \"off\""),
        ("software rendering under TCG", host(Os::Linux), "accel = \"tcg\"\ngl = \"off\""),
        ("a terminal", host(Os::Linux), "terminal = \"foot\""),
        ("no GPU pack", host(Os::Linux), "gpu = \"auto\""),
    ] {
        let mut notices = Notices::default();
        announce(&spec(&facts, text).unwrap(), &artifacts, &folder.path().join(about), &mut notices);
        texts.add(about, notices.0.join("\n"));
    }
    let mut planner = crate::launch::testing::launch_plan(&host(Os::Linux), folder.path()).planner;
    planner.purpose = Purpose::Checkpoint;
    texts.add("an old QEMU", old_qemu());
    texts.add("a full disk", paused(Path::new("/c"), &"web".parse().unwrap()));
    texts.add("a checkpoint alone", planner.plan(&host(Os::Linux)).unwrap().window.because);
    assert_texts!("notices", texts);
}

#[test]
fn notices_of_fallbacks() {
    let facts = HostFacts { vsock: Availability::Available, ..host(Os::Linux) };
    let config = |text: &str| crate::testing::config(text);
    let plan =
        |facts: &HostFacts, config: &Config| plan::plan(facts, config, Arch::X86_64, &vm("web")).unwrap();
    let mut texts = Texts::default();
    for (feature, text) in [
        (Feature::Accelerator(Accelerator::Kvm), ""),
        (Feature::Gl, ""),
        (Feature::StrictJail, ""),
        (Feature::Window(Window::Gtk), ""),
        (Feature::Vsock, ""),
        (Feature::Checkpoint, "gl = \"off\""),
    ] {
        let spec = plan(&facts.clone().disable(feature, "it fails"), &config(text));
        texts.add(format!("{feature:?}"), fallback::notice(feature, "it fails", &spec));
    }
    assert_texts!("fallbacks", texts);
}

#[test]
fn the_end_of_a_vm_that_died() {
    let tails = Tails { console: vec!["a".to_owned(), "b".to_owned()], qemu: vec!["c".to_owned()] };
    let files = VmFiles::new(Path::new("/s/vms"), &"web".parse().unwrap());
    let mut texts = Texts::default();
    texts.add("with last lines", died("QEMU ended with status 1", &tails, &files));
    texts.add("without", died("QEMU ended with status 1", &Tails::default(), &files));
    assert_texts!("died", texts);
}

#[test]
fn an_end_is_good_if_it_was_wanted_and_clean() {
    use crate::supervise::StopCause;
    let files = VmFiles::new(Path::new("/s/vms"), &"web".parse().unwrap());
    let mut texts = Texts::default();
    let usual = spec(&host(Os::Linux), "").unwrap();
    let safe = VmSpec { safe: true, ..usual.clone() };
    let mut status_of = |end: End, spec: &VmSpec| {
        let mut notices = Notices::default();
        let result = after_power_off(&end, spec, &files, &mut notices);
        let text = result.as_ref().map_or_else(ToString::to_string, |_| notices.0.join("\n"));
        let about = if spec.safe { ", a safe start" } else { "" };
        texts.add(format!("{end:?}{about}"), text);
        result.unwrap_or_else(|error| error.kind as u8)
    };
    let powered_off = |session_status, premature, clean| End::PoweredOff { session_status, premature, clean };
    assert_eq!(status_of(powered_off(Some(1), true, true), &safe), 3);
    let mut status = |end| status_of(end, &usual);
    assert_eq!(status(powered_off(Some(0), false, true)), 0);
    assert_eq!(status(powered_off(None, false, true)), 0);
    assert_eq!(status(powered_off(Some(7), false, true)), 4);
    assert_eq!(status(powered_off(Some(0), true, true)), 3);
    assert_eq!(status(powered_off(None, true, true)), 3);
    assert_eq!(status(powered_off(Some(0), false, false)), 3);
    for by in [StopCause::Signal, StopCause::WindowClosed] {
        assert_eq!(status(End::Stopped { by, clean: true }), 0);
        assert_eq!(status(End::Stopped { by, clean: false }), 3);
    }
    assert_texts!("ends", texts);
}
