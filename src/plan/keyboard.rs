//! The guest's keyboard: the configured one, else the host's. The names become part of the kernel command line, where a space
//! or a quote would start another argument, so names from the host with other characters than XKB's are dropped.

use super::explicit;
use crate::config::{KeyboardChoice, Setting};
use crate::host::HostFacts;
use crate::model::{Choice, Xkb, is_xkb_name};

pub fn keyboard(facts: &HostFacts, setting: &Setting<KeyboardChoice>) -> Choice<Xkb> {
    if let KeyboardChoice::Layout(set) = &setting.value {
        let xkb = Xkb { layout: set.layout.clone(), variant: set.variant.clone(), ..Xkb::default() };
        return explicit(xkb, setting);
    }
    let Some(host) = &facts.keyboard else {
        return Choice::new(Xkb::default(), "the host's keyboard layout is unknown");
    };
    let xkb = Xkb {
        layout: plain(&host.layout),
        variant: plain(&host.variant),
        model: plain(&host.model),
        options: plain(&host.options),
    };
    Choice::new(xkb, format!("from the host: {}", host.found_in))
}

/// The text if it consists of XKB's names, with what joins them in options, else nothing.
fn plain(text: &str) -> String {
    let is_plain = text.len() <= 200 && text.split([':', '+', '(', ')']).all(is_xkb_name);
    if is_plain { text.to_owned() } else { String::new() }
}
