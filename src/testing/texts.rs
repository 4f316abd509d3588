//! The texts of a module, as one snapshot.

use std::fmt::{Display, Write};

/// Texts, each under what it is about.
#[derive(Default)]
pub struct Texts(String);

impl Texts {
    pub fn add(&mut self, about: impl Display, text: impl Display) {
        writeln!(self.0, "{about}").unwrap();
        for line in text.to_string().lines() {
            writeln!(self.0, "    {line}").unwrap();
        }
    }
}

impl Display for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

/// Compares texts with the file snapshots/NAME.snap beside the caller's. Its name has no module in it, so that it moves
/// with its folder.
macro_rules! assert_texts {
    ($name:literal, $texts:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($name, $texts));
    }};
}
pub(crate) use assert_texts;
