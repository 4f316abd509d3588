//! The description of a checkpoint.

use super::*;
use crate::testing::assert_texts;

#[test]
fn a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    assert_texts!("checkpoint", Checkpoint { folder: folder.path().join("none") }.description());
}
