//! What an error looks like on a terminal.

use super::*;
use crate::testing::assert_texts;

#[test]
fn an_error_with_all_its_parts() {
    let cause = anyhow::anyhow!("No space left on device").context("can't write /s/vms");
    let notes = [
        "limited  disk           what was seen\n                        → what to type",
        "broken   memory         what was seen",
    ];
    let error = Error::caused(Kind::Failed, cause, "what to type next").with_notes(notes);
    assert_texts!("error", error);
}
