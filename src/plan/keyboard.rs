//! The guest's keyboard: the user's, else the host's. The names end up on the kernel's command line, where
//! a space or a quote would start another argument: what the host says is let through only if it is plain.

use super::{Choice, Xkb};
use crate::config::{KeyboardChoice, Setting};
use crate::host::HostFacts;
use std::fmt;

pub fn keyboard(facts: &HostFacts, setting: &Setting<KeyboardChoice>) -> Choice<Xkb> {
    if let KeyboardChoice::Layout(said) = &setting.value {
        let xkb = Xkb { layout: said.layout.clone(), variant: said.variant.clone(), ..Xkb::default() };
        return Choice::said(xkb, setting);
    }
    let Some(host) = &facts.keyboard else {
        return Choice::new(Xkb::default(), "the host's is not known");
    };
    let xkb = Xkb {
        layout: plain(&host.layout),
        variant: plain(&host.variant),
        model: plain(&host.model),
        options: plain(&host.options),
    };
    Choice::new(xkb, format!("of the host: {}", host.found_in))
}

/// The text if it holds only what XKB's rule files use in names, else nothing.
fn plain(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ',' | ':' | '+' | '(' | ')');
    if text.len() <= 200 && text.chars().all(allowed) { text.to_owned() } else { String::new() }
}

impl fmt::Display for Xkb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.layout.as_str(), self.variant.as_str()) {
            ("", _) => f.write_str("us"),
            (layout, "") => f.write_str(layout),
            (layout, variant) => write!(f, "{layout}({variant})"),
        }
    }
}
