//! The lines of an installation.

use super::*;
use crate::testing::assert_texts;

#[test]
fn lines() {
    let lines = Lines::new(Vec::new());
    lines.waiting("web (pid 7)");
    lines.plan(1000 << 20);
    (0..1000).for_each(|_| lines.advance(1 << 20));
    lines.done();
    assert_texts!("progress", String::from_utf8(lines.state.into_inner().unwrap().out).unwrap());
}
