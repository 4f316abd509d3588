//! An installation on any system.

use super::*;

#[test]
fn an_installation_is_intact_found_again_and_repaired() {
    let lab = Lab::new();
    let (old, payload) = (lab.version("old"), lab.version("new"));
    lab.install(&old).unwrap();
    lab.install(&payload).unwrap();
    assert_eq!(lab.versions(), [payload.digest()]);
    lab.assert_intact(&payload);
    let kernel = payload.paths(&lab.cache()).kernel;
    fs::remove_file(&kernel).unwrap();
    fs::write(&kernel, "another").unwrap();
    assert!(!payload.is_installed(&lab.cache()));
    lab.install(&payload).unwrap();
    lab.assert_intact(&payload);
}

#[test]
fn the_cache_is_tagged_so_that_backup_tools_skip_it() {
    let lab = Lab::new();
    let tag = lab.cache().join("CACHEDIR.TAG");
    lab.install(&lab.version("old")).unwrap();
    let text = fs::read_to_string(&tag).unwrap();
    // The first 43 bytes count (https://bford.info/cachedir/).
    assert_eq!(&text[..43], "Signature: 8a477f597d28d172789f06886806bc55");
    fs::write(&tag, "the user's own").unwrap();
    lab.install(&lab.version("new")).unwrap();
    assert_eq!(fs::read_to_string(&tag).unwrap(), "the user's own");
}
