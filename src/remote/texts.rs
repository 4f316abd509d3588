//! Messages where OpenSSH can't be used.

use super::*;
use crate::testing::{Texts, assert_texts};

#[test]
fn refusals_with_their_hints() {
    let mut texts = Texts::default();
    texts.add("a VM's name that is none", end(OsStr::new("My File: x")).unwrap_err());
    texts.add("a variable without a name", exec::variable(OsStr::new("=x")).unwrap_err());
    texts.add("an unknown user", broken_client(b"No user exists for uid 1234\n", false));
    texts.add(
        "a client that does not run",
        broken_client(b"ssh: error while loading \x1b]0;x\x07libs\n", true),
    );
    texts.add("how OpenSSH is installed", os::INSTALL_CLIENT);
    assert_texts!("refusals", texts);
}
