//! What the guest has reached and what was refused: counted, and reported to the launcher once, up to a limit.

use super::launcher::Launcher;
use crate::net::account::{Account, Ledger};
use crate::net::address::Class;
use crate::net::message::Report;
use crate::net::names::Names;
use crate::net::policy::{Destination, Policy, Refusal};
use std::time::Instant;

/// So many refusals are reported.
pub const REPORTED: usize = 256;

#[derive(Default)]
pub struct Record {
    ledger: Ledger,
    /// How many refusals were reported.
    pub reported: usize,
}

impl Record {
    /// Notes that the guest has gone there.
    pub fn open(&mut self, to: Destination, names: &Names, now: Instant, launcher: &mut Launcher) {
        if self.ledger.open(to, names.of(to.address, now)) {
            let names = names.of(to.address, now).map(str::to_owned).collect();
            launcher.report(&Report::Reached { to: to.to_string(), names });
        }
    }

    /// Bytes went there and back.
    pub fn count(&mut self, to: Destination, (sent, received): (u64, u64)) {
        self.ledger.count(to, sent, received);
    }

    pub fn close(&mut self, to: Destination) {
        self.ledger.close(to);
    }

    /// Notes that the policy does not let the guest go there.
    pub fn refuse(&mut self, to: &Destination, refusal: &Refusal, launcher: &mut Launcher) {
        // Programs look for others of their kind all the time.
        let is_noise = matches!(refusal, Refusal::Class { class: Class::Multicast, .. });
        if !is_noise {
            self.refuse_text(to.to_string(), refusal.to_string(), refusal.flag(to), launcher);
        }
    }

    /// The same for a destination that is only a name.
    pub fn refuse_name(&mut self, name: String, launcher: &mut Launcher) {
        let flag = format!("--allow {name}");
        self.refuse_text(name, "no rule allows it".to_owned(), Some(flag), launcher);
    }

    fn refuse_text(&mut self, to: String, because: String, flag: Option<String>, launcher: &mut Launcher) {
        if self.ledger.refuse(&to, &because, flag.clone()) && self.reported < REPORTED {
            self.reported += 1;
            launcher.report(&Report::Refused { to, because, flag });
        }
    }

    /// Refusals count from the start: the policy is another one.
    pub fn forget_refusals(&mut self) {
        self.ledger.forget_refusals();
        self.reported = 0;
    }

    /// All of it.
    pub fn account(&self, policy: &Policy) -> Account {
        Account {
            net: policy.net.to_string(),
            allow: policy.allow.iter().map(ToString::to_string).collect(),
            reached: self.ledger.reached(),
            refused: self.ledger.refused().to_vec(),
        }
    }

    /// What the guest gets when it asks why it was refused.
    pub fn why(&self, policy: &Policy) -> String {
        let mut text = format!("The network of this VM is {:?}.\n", policy.net.to_string());
        for refused in self.ledger.refused() {
            let flag = refused.flag.as_ref().map(|flag| format!("; to open it, on the host: {flag}"));
            text += &format!("{}: {}{}\n", refused.to, refused.because, flag.unwrap_or_default());
        }
        text
    }
}
