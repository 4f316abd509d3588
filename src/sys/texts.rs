//! Errors for folders that can't be used.

use super::Dirs;
use super::files::create_private;
use crate::testing::{Texts, assert_texts};
use std::fs;
use std::path::PathBuf;

#[test]
fn folders_that_can_not_be_used() {
    let all = tempfile::tempdir().unwrap();
    let file = all.path().join("file");
    fs::write(&file, "").unwrap();
    let mut texts = Texts::default();
    let mut add = |about: &str, text: String| {
        texts.add(about, text.replace(&all.path().display().to_string(), "[FOLDER]"));
    };
    add("a file", create_private(&file).unwrap_err().to_string());
    add("below a file", create_private(&file.join("below")).unwrap_err().to_string());
    let long = PathBuf::from("x".repeat(1000));
    let dirs = Dirs { cache: long.clone(), config: long.clone(), state: long.clone(), data: long };
    add(
        "too long a name for a checkpoint",
        dirs.unfit_for_checkpoints().unwrap().replace(&"x".repeat(1000), "[NAME]"),
    );
    assert_texts!("folders", texts);
}
