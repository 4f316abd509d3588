//! One switch of QEMU's command line: its name and its value, a list of `key=value` options.

use std::ffi::{OsStr, OsString};

/// `-device virtio-blk-pci,drive=root`: options are separated by commas, and a comma within a value is
/// written twice (qemu(1), "-drive file=").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    name: &'static str,
    value: Option<OsString>,
}

impl Switch {
    /// A switch without a value, such as `-nodefaults`.
    pub fn bare(name: &'static str) -> Self {
        Self { name, value: None }
    }

    /// A switch whose value is one plain word or path, in which commas mean nothing, such as `-kernel`.
    pub fn plain(name: &'static str, value: impl AsRef<OsStr>) -> Self {
        Self { name, value: Some(value.as_ref().to_owned()) }
    }

    /// A switch with options, the first of which is its kind, such as `-device KIND`.
    pub fn of(name: &'static str, kind: &str) -> Self {
        Self { name, value: Some(escaped(kind.as_ref())) }
    }

    /// A switch with options and no kind, such as `-drive`.
    pub fn options(name: &'static str) -> Self {
        Self { name, value: Some(OsString::new()) }
    }

    #[must_use]
    pub fn set(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        let text = self.value.get_or_insert_default();
        if !text.is_empty() {
            text.push(",");
        }
        text.push(key);
        text.push("=");
        text.push(escaped(value.as_ref()));
        self
    }

    /// The switch as arguments.
    pub fn arguments(self) -> impl Iterator<Item = OsString> {
        std::iter::once(self.name.into()).chain(self.value)
    }
}

fn escaped(value: &OsStr) -> OsString {
    let mut out = Vec::with_capacity(value.len());
    for &byte in value.as_encoded_bytes() {
        out.push(byte);
        if byte == b',' {
            out.push(b',');
        }
    }
    // SAFETY: the bytes are those of an OsStr with ASCII commas added, which split no encoded character.
    unsafe { OsString::from_encoded_bytes_unchecked(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(switch: Switch) -> String {
        switch.arguments().nth(1).unwrap().into_string().unwrap()
    }

    #[test]
    fn a_comma_in_a_value_is_doubled_and_nothing_else_is_touched() {
        let switch = Switch::options("-drive").set("file", "/a,b/c d'\".img").set("format", "raw");
        assert_eq!(value(switch), "file=/a,,b/c d'\".img,format=raw");
        assert_eq!(value(Switch::plain("-kernel", "/a,b")), "/a,b");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf_8_stays_what_it_is() {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let switch = Switch::options("-drive").set("file", OsStr::from_bytes(b"/\xff,\xfe"));
        assert_eq!(switch.arguments().nth(1).unwrap().into_vec(), b"file=/\xff,,\xfe");
    }

    proptest! {
        /// Splits a value as QEMU does.
        #[test]
        fn any_value_reaches_qemu_unchanged(text in "[^\0]*") {
            let value = value(Switch::options("-drive").set("file", &text));
            let read_back = value.strip_prefix("file=").unwrap().replace(",,", ",");
            prop_assert_eq!(read_back, text);
        }
    }
}
