//! The line of each stage.

use super::*;
use crate::testing::assert_texts;

#[test]
fn stages() {
    let stages = [Stage::Qemu, Stage::Kernel, Stage::Services, Stage::Ready];
    let lines = stages.map(|stage| text(stage, Duration::from_millis(1230)));
    assert_texts!("stages", lines.join("\n"));
}
