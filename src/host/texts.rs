//! The names of accelerators, sessions and features.

use super::*;
use crate::model::Feature;
use crate::testing::{Texts, assert_texts};

#[test]
fn names() {
    let mut texts = Texts::default();
    for os in [Os::Linux, Os::MacOs, Os::Windows] {
        texts.add(format!("{os:?}"), os);
    }
    for window in [Window::Gtk, Window::Sdl, Window::Cocoa, Window::None] {
        texts.add(format!("{window:?}"), window);
    }
    for session in [
        Session::X11(":0".to_owned()),
        Session::Wayland("wayland-0".to_owned()),
        Session::Native,
        Session::None { because: "DISPLAY is not set".to_owned() },
    ] {
        texts.add(format!("{session:?}"), session);
    }
    for feature in [
        Feature::Accelerator(Accelerator::Kvm),
        Feature::Accelerator(Accelerator::Hvf),
        Feature::Accelerator(Accelerator::Whpx),
        Feature::Accelerator(Accelerator::Tcg),
        Feature::Gl,
        Feature::Window(Window::Gtk),
        Feature::Vsock,
        Feature::Checkpoint,
    ] {
        texts.add(format!("{feature:?}"), feature);
    }
    let facts = crate::testing::host(Os::Linux);
    texts.add("a guest of another architecture", facts.acceleration_of(Arch::Aarch64).obstacle().unwrap());
    assert_texts!("names", texts);
}
