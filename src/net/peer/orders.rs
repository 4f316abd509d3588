//! What the launcher orders, and what others see of the peer.

use super::opening::Pending;
use super::{CARD, Peer, frames};
use crate::model::Transport;
use crate::net::message::{Order, Report, Settings, line};
use crate::net::policy::Destination;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::time::Instant;

impl Peer {
    /// Does what the launcher orders; false once it has hung up, after the last report.
    pub(super) fn on_launcher(&mut self, now: Instant) -> anyhow::Result<bool> {
        let Some(orders) = self.launcher.orders()? else {
            let account = self.record.account(&self.policy);
            self.launcher.report(&Report::Ended(account));
            return Ok(false);
        };
        for order in orders {
            match order {
                Order::Set(settings) => self.apply(&settings, now)?,
                Order::Publish { guest, transport, at } => {
                    let Some(socket) = self.launcher.socket() else { continue };
                    match transport {
                        Transport::Tcp => self.inward.publish(socket, guest, at, &mut self.watch),
                        Transport::Udp => self.senders.publish(socket, guest, &mut self.watch),
                    }
                }
                Order::Close { guest, transport: Transport::Tcp } => {
                    self.inward.close(guest, &mut self.watch);
                }
                Order::Close { guest, transport: Transport::Udp } => {
                    self.senders.close(guest, &mut self.watch);
                }
            }
        }
        Ok(true)
    }

    fn apply(&mut self, settings: &Settings, now: Instant) -> anyhow::Result<()> {
        let policy = settings.policy().ok_or_else(|| anyhow::anyhow!("the settings have no policy"))?;
        self.resolver.set(settings.resolvers.clone());
        if policy != self.policy {
            self.policy = policy;
            self.record.forget_refusals();
            self.close_what_is_closed(now);
        }
        if !self.watch.has(CARD) {
            self.open_card(now);
        }
        Ok(())
    }

    /// What was open by an earlier policy, and is not by this one.
    fn close_what_is_closed(&mut self, now: Instant) {
        let closed = |(_, to): &(usize, Destination)| self.places(to, now).is_err();
        let connections: Vec<_> =
            self.connections.iter().filter_map(|(key, it)| Some((*key, it.to?))).filter(closed).collect();
        let exchanges: Vec<_> = self.exchanges.destinations().into_iter().filter(closed).collect();
        let pending: Vec<_> =
            self.pending.iter().map(|(key, it)| (*key, it.attempt.to)).filter(closed).collect();
        for (key, _) in connections {
            if let Some(connection) = self.connections.get_mut(&key) {
                let fate = connection.abort(now);
                self.after(key, &fate, now);
            }
        }
        exchanges.into_iter().for_each(|(key, _)| self.close_exchange(key));
        for (key, _) in pending {
            if let Some(Pending { attempt, .. }) = self.drop_pending(key) {
                self.send(frames::tcp::reset(&attempt.first));
            }
        }
    }

    /// Somebody wants to see the account.
    pub(super) fn on_show(&mut self) {
        while let Some(Ok((mut stream, _))) = self.show.as_ref().map(UnixListener::accept) {
            let account = self.record.account(&self.policy);
            // It fits into the socket; one that does not is for nobody.
            let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(line(&account).as_bytes()));
        }
    }
}
