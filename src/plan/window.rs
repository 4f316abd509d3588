//! The window that shows the guest's screen.

use super::{PlanError, explicit, refused};
use crate::config::{Config, DisplayChoice};
use crate::host::HostFacts;
use crate::model::{Choice, Session, Window};

pub fn window(facts: &HostFacts, config: &Config, passthrough: bool) -> Result<Choice<Window>, PlanError> {
    let setting = &config.display;
    let forced = match setting.value {
        DisplayChoice::None => return Ok(explicit(Window::None, setting)),
        DisplayChoice::Auto if passthrough => {
            return Ok(Choice::new(Window::None, "the terminal is on the monitor of the passed GPU"));
        }
        DisplayChoice::Auto => return Ok(best_window(facts)),
        DisplayChoice::Gtk => Window::Gtk,
        DisplayChoice::Sdl => Window::Sdl,
        DisplayChoice::Cocoa => Window::Cocoa,
    };
    let hint = "use --display auto, or --display none";
    let refuse = |because: &str| Err(refused(format!("a window with {forced}"), setting, because, hint));
    let Some((_, availability)) = facts.windows.iter().find(|(window, _)| *window == forced) else {
        let choices: Vec<_> = facts.windows.iter().map(|(window, _)| window.to_string()).collect();
        return refuse(&format!("{} has {}", facts.os, choices.join(" and ")));
    };
    match (&facts.session, availability.obstacle()) {
        (Session::None { because }, _) => refuse(because),
        (_, Some(because)) => refuse(because),
        _ => Ok(explicit(forced, setting)),
    }
}

/// The first window that works, or none with the reasons of all.
fn best_window(facts: &HostFacts) -> Choice<Window> {
    if let Session::None { because } = &facts.session {
        return Choice::new(Window::None, because.clone());
    }
    let mut doubts = Vec::new();
    for (window, availability) in &facts.windows {
        match availability.doubt() {
            None if doubts.is_empty() => {
                return Choice::new(*window, format!("available on {}", facts.session));
            }
            None => return Choice::new(*window, doubts.join("; ")),
            Some(because) => doubts.push(format!("no {window}: {because}")),
        }
    }
    Choice::new(Window::None, doubts.join("; "))
}
