//! What the guest asks its resolver.

use super::dns;
use super::frames::udp;
use super::resolver::{self, Client, Job, Outcome};
use super::{Peer, seed};
use crate::model::{HOST_NAME, Net};
use crate::net::link;
use std::time::Instant;

impl Peer {
    pub(super) fn on_question(&mut self, client: Client, query: &[u8], now: Instant) {
        if !dns::is_question(query) {
            return;
        }
        let Some(question) = dns::question(query) else {
            return self.answer(client, dns::malformed(query), now);
        };
        if question.name == HOST_NAME {
            return self.answer(client, dns::of_address(query, link::GATEWAY), now);
        }
        let mut names = self.resolver.names_of(&question);
        if !self.policy.resolves(&question.name) {
            names.retain(|name| self.policy.resolves(name));
        }
        if names.is_empty() {
            self.answer(client, dns::refusal(query), now);
            if self.policy.net == Net::Off && !question.name.is_empty() {
                self.record.refuse_name(question.name, &mut self.launcher);
            }
            return;
        }
        if self.resolver.jobs.len() >= resolver::MOST {
            return self.answer(client, dns::failure(query), now);
        }
        let key = self.watch.key();
        let job = Job::new(client, question, query, names, seed() as u16);
        let outcome = self.resolver.start(key, job, now);
        self.on_outcome(key, outcome, now);
    }

    /// A resolver of the host has something to read, or takes something.
    pub(super) fn on_resolver(&mut self, key: usize, now: Instant) {
        // It may take another socket.
        self.watch.unwatch(key);
        let outcome = self.resolver.woken(key, &mut self.buffer, now);
        self.on_outcome(key, outcome, now);
    }

    /// A resolver has been waited for long enough.
    pub(super) fn on_silence(&mut self, key: usize, now: Instant) {
        self.watch.unwatch(key);
        let outcome = self.resolver.ask(key, now);
        self.on_outcome(key, outcome, now);
    }

    fn on_outcome(&mut self, key: usize, outcome: Outcome, now: Instant) {
        let message = match outcome {
            Outcome::Waits => return self.watch_job(key),
            Outcome::Answered(message) => Some(message),
            Outcome::Failed => self.resolver.failure(key),
        };
        self.watch.forget(key);
        let Some(job) = self.resolver.jobs.remove(&key) else { return };
        for found in message.iter().flat_map(|message| dns::addresses(message)) {
            // A rule may name it either way.
            for name in [&job.question.name, &job.asked.name] {
                self.names.learn(name, found.address, found.holds, now);
            }
        }
        let is_renamed = job.asked.name != job.question.name;
        let message = message.and_then(|message| {
            if is_renamed { dns::under_its_name(&job.query, &message) } else { Some(message) }
        });
        self.answer(job.client, message, now);
    }

    fn watch_job(&mut self, key: usize) {
        let Some(job) = self.resolver.jobs.get(&key) else { return };
        if let Some(socket) = job.socket() {
            self.watch.watch(key, socket, job.interest());
        }
        self.watch.set_deadline(key, job.deadline);
    }

    fn answer(&mut self, client: Client, message: Option<Vec<u8>>, now: Instant) {
        let Some(message) = message else { return };
        match client {
            Client::Udp { from, to } => self.send(udp::datagram(to, from, &message)),
            Client::Tcp(ends) => {
                if let Some(&key) = self.by_ends.get(&ends)
                    && let Some(connection) = self.connections.get_mut(&key)
                {
                    let fate = connection.answer(&message, now);
                    self.after(key, &fate, now);
                }
            }
        }
    }
}
