//! Connections that stand: what follows each move of their bytes.

use super::greeting::Greeting;
use super::resolver::Client;
use super::stacks::Cable;
use super::tcp::{Connection, Fate, Other};
use super::{CARD, Peer};
use crate::net::policy::{Destination, Refusal};
use std::time::Instant;

impl Peer {
    /// What a new connection gets.
    pub(super) fn cable(&mut self) -> Cable {
        self.spares.cable(self.card.clone(), self.connections.len())
    }

    pub(super) fn start(&mut self, mut connection: Connection, now: Instant) {
        let key = self.watch.key();
        self.by_ends.insert(connection.ends, key);
        let fate = connection.pump(now);
        self.connections.insert(key, connection);
        self.after(key, &fate, now);
    }

    /// After a connection was pumped: what it waits for now.
    pub(super) fn after(&mut self, key: usize, fate: &Fate, now: Instant) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let ends = connection.ends;
        if let Some(to) = connection.to {
            self.record.count(to, connection.uncounted());
            if *fate == Fate::Over {
                self.record.close(to);
            }
        }
        if *fate == Fate::Over {
            self.watch.forget(key);
            self.by_ends.remove(&ends);
            self.held_up.remove(&key);
            if let Some(connection) = self.connections.remove(&key) {
                self.spares.keep(connection.into_stack());
            }
            return;
        }
        if let (Some(greeting), Some(to)) = (connection.greeting(), connection.to) {
            return self.on_greeting(key, greeting, &to, now);
        }
        if let Other::Resolver { .. } = connection.other {
            while let Some(question) = self.connections.get_mut(&key).and_then(Connection::question) {
                self.on_question(Client::Tcp(ends), &question, now);
            }
        }
        self.wait_for(key, now);
    }

    /// A connection whose first bytes are looked at: it goes on, waits for more, or ends.
    fn on_greeting(&mut self, key: usize, greeting: Greeting, to: &Destination, now: Instant) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let fate = match greeting {
            Greeting::Incomplete => return self.wait_for(key, now),
            Greeting::Name(name) if self.policy.opens_name(&name, to.port) => {
                connection.open_gate();
                connection.pump(now)
            }
            Greeting::Name(_) | Greeting::Nameless => {
                let fate = connection.abort(now);
                let name = if let Greeting::Name(name) = greeting { Some(name) } else { None };
                self.record.refuse(to, &Refusal::Greeting { name }, &mut self.launcher);
                fate
            }
        };
        self.after(key, &fate, now);
    }

    /// Tells the poller and the clock what a connection waits for.
    fn wait_for(&mut self, key: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let (interest, deadline) = (connection.interest(), connection.deadline(now));
        if let Other::Socket(socket) = &connection.other {
            self.watch.watch(key, socket, interest);
        }
        if self.card.is_full() {
            self.held_up.insert(key);
        }
        self.watch.set_deadline(key, deadline);
    }

    /// Sends the frames that wait; then the connections go on that waited for it.
    pub(super) fn release(&mut self, now: Instant) {
        self.card.flush();
        if !self.card.is_full() {
            for key in std::mem::take(&mut self.held_up) {
                if let Some(connection) = self.connections.get_mut(&key) {
                    let fate = connection.pump(now);
                    self.after(key, &fate, now);
                }
            }
        }
        if self.watch.has(CARD) {
            let waits = self.card.has_waiting();
            self.card.with_socket(|socket| self.watch.watch(CARD, &socket, (true, waits)));
        }
    }
}
