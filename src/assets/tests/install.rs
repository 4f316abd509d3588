//! An installation on any system.

use super::*;

#[test]
fn what_is_installed_is_sound_is_found_again_and_is_mended() {
    let lab = Lab::new();
    let (old, payload) = (lab.version("old"), lab.version("new"));
    lab.install(&old).unwrap();
    lab.install(&payload).unwrap();
    assert_eq!(lab.versions(), [payload.digest()]);
    lab.assert_sound(&payload);
    let kernel = payload.paths(&lab.cache()).kernel;
    fs::remove_file(&kernel).unwrap();
    fs::write(&kernel, "another").unwrap();
    assert!(!payload.is_installed(&lab.cache()));
    lab.install(&payload).unwrap();
    lab.assert_sound(&payload);
}
