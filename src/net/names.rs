//! Which names the guest has asked for, and which addresses were the answer: an allowed name opens these, for as long as the
//! answer holds. Bounded, and pure: the time is passed in.

use core::net::IpAddr;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// So many pairs of an address and a name are known at once; the oldest goes first.
pub const MOST: usize = 4096;

/// A program may look a name up, wait, and connect: an answer holds at least this long. And no longer than a day.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
pub struct Names {
    /// For each address the names that it was the answer for, and until when.
    by_address: HashMap<IpAddr, Vec<(String, Instant)>>,
    /// In the order in which they came, for [`MOST`].
    order: VecDeque<(IpAddr, String)>,
}

impl Names {
    /// Notes an answer: `name` in small letters, without the final dot.
    pub fn learn(&mut self, name: &str, address: IpAddr, holds: Duration, now: Instant) {
        let address = address.to_canonical();
        let until = now + holds.clamp(SHORTEST, LONGEST);
        let known = self.by_address.entry(address).or_default();
        if let Some((_, end)) = known.iter_mut().find(|(other, _)| other == name) {
            *end = until.max(*end);
            return;
        }
        known.push((name.to_owned(), until));
        self.order.push_back((address, name.to_owned()));
        while self.order.len() > MOST {
            let (address, name) = self.order.pop_front().expect("it is longer");
            self.forget(address, &name);
        }
    }

    /// The names that the address is an answer for now.
    pub fn of(&self, address: IpAddr, now: Instant) -> impl Iterator<Item = &str> {
        let known = self.by_address.get(&address.to_canonical()).into_iter().flatten();
        known.filter(move |(_, until)| *until >= now).map(|(name, _)| name.as_str())
    }

    fn forget(&mut self, address: IpAddr, name: &str) {
        if let Some(known) = self.by_address.get_mut(&address) {
            known.retain(|(other, _)| other != name);
            if known.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(names: &Names, address: &str, now: Instant) -> Vec<String> {
        names.of(address.parse().unwrap(), now).map(str::to_owned).collect()
    }

    #[test]
    fn an_address_has_its_names_for_as_long_as_the_answer_holds() {
        let (mut names, now) = (Names::default(), Instant::now());
        let learn = |names: &mut Names, name, seconds, now| {
            names.learn(name, "192.0.2.1".parse().unwrap(), Duration::from_secs(seconds), now);
        };
        learn(&mut names, "short.example", 0, now);
        learn(&mut names, "long.example", 600, now);
        learn(&mut names, "long.example", 1, now);
        assert_eq!(names_of(&names, "192.0.2.1", now), ["short.example", "long.example"]);
        assert_eq!(names_of(&names, "::ffff:192.0.2.1", now + SHORTEST * 2), ["long.example"]);
        assert!(names_of(&names, "192.0.2.1", now + Duration::from_secs(601)).is_empty());
        assert!(names_of(&names, "192.0.2.2", now).is_empty());
        learn(&mut names, "short.example", 600, now + SHORTEST * 2);
        assert!(names_of(&names, "192.0.2.1", now + SHORTEST * 3).contains(&"short.example".to_owned()));
    }

    #[test]
    fn ten_thousand_answers_take_no_more_memory_than_the_most_that_are_kept() {
        let (mut names, now) = (Names::default(), Instant::now());
        for number in 0..10_000u32 {
            names.learn(
                &format!("{}.example", number % 100),
                IpAddr::from(number.to_be_bytes()),
                LONGEST,
                now,
            );
        }
        assert_eq!((names.order.len(), names.by_address.len()), (MOST, MOST));
        assert!(names_of(&names, "0.0.0.0", now).is_empty());
        assert_eq!(names.of(IpAddr::from(9999u32.to_be_bytes()), now).count(), 1);
    }
}
