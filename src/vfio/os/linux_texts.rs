//! The errors when a GPU is not bound.

use super::*;
use crate::testing::{Texts, assert_texts, bus, gpu};

#[test]
fn refusals_with_their_hints() {
    let facts = bus(vec![gpu("0000:01:00.0", "nouveau", None)]);
    let mut texts = Texts::default();
    for address in ["0000:01:00.0", "0000:09:00.0"] {
        texts.add(address, allowed(&facts, address.parse().unwrap(), false).unwrap_err());
    }
    assert_texts!("linux", texts);
}
