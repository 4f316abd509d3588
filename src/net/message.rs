//! What the launcher and the peer say to each other: one JSON object a line.

use super::account::Account;
use super::policy::Policy;
use super::ports::At;
use super::resolvers::Resolvers;
use crate::model::{Rule, Transport};
use serde::{Deserialize, Serialize};

/// From the launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The first one comes before the first frame.
    Set(Settings),
    /// With it comes a socket of the host: what comes to it leads to this port of the guest.
    Publish { guest: u16, transport: Transport, at: At },
    /// Nothing leads to the port of the guest any more.
    Close { guest: u16, transport: Transport },
}

/// What another command asks of the launcher of a running VM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub policy: Option<Settings>,
    /// Ports of the guest to open.
    pub open: Vec<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    net: String,
    allow: Vec<String>,
    pub resolvers: Resolvers,
}

impl Settings {
    pub fn new(policy: &Policy, resolvers: Resolvers) -> Self {
        Self {
            net: policy.net.to_string(),
            allow: policy.allow.iter().map(Rule::to_string).collect(),
            resolvers,
        }
    }

    /// The policy; None if it is none, which a launcher never sends.
    pub fn policy(&self) -> Option<Policy> {
        Policy::of_words(&self.net, &self.allow)
    }
}

/// From the peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The guest wanted to go there, for the first time.
    Refused {
        to: String,
        because: String,
        /// The flag that opens it.
        flag: Option<String>,
    },
    /// The guest was there, for the first time.
    Reached { to: String, names: Vec<String> },
    /// The peer can't go on.
    Failed { because: String },
    /// The last one, when the launcher has hung up.
    Ended(Account),
}

/// No line of either is longer.
pub const LINE_BYTES: usize = 1 << 20;

pub fn line(message: &impl Serialize) -> String {
    let mut text = serde_json::to_string(message).expect("it has no map with other keys than text");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Net;

    #[test]
    fn settings_arrive_as_they_were_sent() {
        let policy = Policy {
            net: Net::Off,
            allow: ["*.example.com:443", "host:5432", "[2001:db8::/32]:1"]
                .map(|rule| rule.parse().unwrap())
                .to_vec(),
        };
        let resolvers = Resolvers::parse("nameserver ::1\nsearch lan\n");
        let line = line(&Settings::new(&policy, resolvers.clone()));
        let read: Settings = serde_json::from_str(&line).unwrap();
        assert_eq!((read.policy(), read.resolvers), (Some(policy), resolvers));
    }
}
