//! The errors for values that are out of range.

use super::*;
use crate::testing::{Texts, assert_texts};

#[test]
fn values_that_are_refused() {
    fn refusal<T: FromStr<Err = Invalid>>(text: &str) -> Invalid {
        text.parse::<T>().err().unwrap_or_else(|| panic!("{text:?} is accepted"))
    }
    let mut texts = Texts::default();
    texts.add("vcpus 0", refusal::<Vcpus>("0"));
    texts.add("vcpus two", refusal::<Vcpus>("two"));
    texts.add("memory -1", refusal::<MemorySize>("-1"));
    texts.add("home_size 1", refusal::<HomeSize>("1"));
    texts.add("root_size 1", refusal::<RootSize>("1"));
    texts.add("seconds 0", refusal::<Seconds>("0"));
    texts.add("factor 0", refusal::<TcgTimeoutFactor>("0"));
    texts.add("name A", refusal::<VmName>("A"));
    texts.add("size 9x9", refusal::<WindowSize>("9x9"));
    texts.add("PCI address 1:2", refusal::<PciAddress>("1:2"));
    assert_texts!("refused-values", texts);
}
