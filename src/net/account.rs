//! Who was reached with how much, and what was refused: what `virtualghost net` shows and the line at the end of a VM. Bounded.

use super::policy::Destination;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// So many destinations are counted by themselves; more are counted together.
pub const MOST: usize = 512;

/// A destination that was reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    pub to: String,
    /// What the guest has looked up to get there.
    pub names: Vec<String>,
    /// How many connections there were, and how many are open.
    pub connections: u64,
    pub open: u64,
    /// Bytes from the VM and to it.
    pub sent: u64,
    pub received: u64,
}

/// A destination that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub to: String,
    pub because: String,
    /// The flag that opens it, if one does.
    pub flag: Option<String>,
    pub times: u64,
}

/// What the peer shows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub net: String,
    pub allow: Vec<String>,
    /// In the order of their destinations.
    pub reached: Vec<Reached>,
    /// In the order in which they were refused for the first time.
    pub refused: Vec<Refused>,
}

/// What went through, while it goes on.
#[derive(Debug, Default)]
pub struct Ledger {
    reached: BTreeMap<Destination, Reached>,
    /// All beyond [`MOST`].
    others: Reached,
    refused: Vec<Refused>,
}

impl Ledger {
    /// A connection was opened; whether it is the first one there.
    pub fn open<'a>(&mut self, to: Destination, names: impl Iterator<Item = &'a str>) -> bool {
        const NAMES: usize = 4;
        let row = self.row(to);
        let is_new = row.to.is_empty();
        if is_new {
            row.to = to.to_string();
        }
        for name in names {
            if row.names.len() < NAMES && !row.names.iter().any(|known| known == name) {
                row.names.push(name.to_owned());
            }
        }
        row.connections += 1;
        row.open += 1;
        is_new
    }

    /// Bytes went through it.
    pub fn count(&mut self, to: Destination, sent: u64, received: u64) {
        let row = self.row(to);
        row.sent += sent;
        row.received += received;
    }

    pub fn close(&mut self, to: Destination) {
        let row = self.row(to);
        row.open = row.open.saturating_sub(1);
    }

    /// Whether it is the first time.
    pub fn refuse(&mut self, to: &str, because: impl fmt::Display, flag: Option<String>) -> bool {
        if let Some(row) = self.refused.iter_mut().find(|row| row.to == to) {
            row.times += 1;
            return false;
        }
        if self.refused.len() >= MOST {
            return false;
        }
        self.refused.push(Refused { to: to.to_owned(), because: because.to_string(), flag, times: 1 });
        true
    }

    /// What was refused counts as told no more.
    pub fn forget_refusals(&mut self) {
        self.refused.clear();
    }

    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn row(&mut self, to: Destination) -> &mut Reached {
        if self.reached.len() >= MOST && !self.reached.contains_key(&to) {
            self.others.to = "others".to_owned();
            return &mut self.others;
        }
        self.reached.entry(to).or_default()
    }

    pub fn reached(&self) -> Vec<Reached> {
        let others = (!self.others.to.is_empty()).then_some(&self.others);
        self.reached.values().chain(others).cloned().collect()
    }
}

impl Account {
    /// The line at the end of a VM; None if nothing left it.
    pub fn summary(&self) -> Option<String> {
        const NAMED: usize = 3;
        if self.reached.is_empty() {
            return None;
        }
        let (sent, received) = self
            .reached
            .iter()
            .fold((0, 0), |(sent, received), row| (sent + row.sent, received + row.received));
        let mut largest: Vec<_> = self.reached.iter().collect();
        largest.sort_by_key(|row| std::cmp::Reverse(row.sent + row.received));
        let named: Vec<_> =
            largest.iter().take(NAMED).map(|row| row.names.first().unwrap_or(&row.to).as_str()).collect();
        let more = match largest.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "the VM has sent {} and received {}: {}{more}",
            bytes(sent),
            bytes(received),
            named.join(", ")
        ))
    }
}

/// A number of bytes, short.
pub fn bytes(count: u64) -> String {
    const UNITS: &[&str] = &["kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = "bytes";
    for larger in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if unit == "bytes" { format!("{count} bytes") } else { format!("{value:.1} {unit}") }
}

/// A table for people.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "net {}", self.net)?;
        for rule in &self.allow {
            writeln!(f, "allow {rule}")?;
        }
        let mut rows = vec![["REACHED", "OPEN", "COUNT", "SENT", "RECEIVED", "NAMES"].map(str::to_owned)];
        rows.extend(self.reached.iter().map(|row| {
            [
                row.to.clone(),
                row.open.to_string(),
                row.connections.to_string(),
                bytes(row.sent),
                bytes(row.received),
                row.names.join(" "),
            ]
        }));
        table(f, "nothing was reached", &rows)?;
        let mut rows = vec![["REFUSED", "COUNT", "BECAUSE", "OPENED BY"].map(str::to_owned)];
        rows.extend(self.refused.iter().map(|row| {
            let flag = row.flag.clone().unwrap_or_default();
            [row.to.clone(), row.times.to_string(), row.because.clone(), flag]
        }));
        table(f, "nothing was refused", &rows)
    }
}

fn table<const N: usize>(f: &mut fmt::Formatter<'_>, empty: &str, rows: &[[String; N]]) -> fmt::Result {
    if rows.len() == 1 {
        return writeln!(f, "\n{empty}");
    }
    writeln!(f)?;
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(number: u32) -> Destination {
        let address = core::net::Ipv4Addr::from(number).into();
        Destination { protocol: crate::net::policy::Protocol::Tcp, address, port: 443 }
    }

    #[test]
    fn an_account_names_the_largest_and_counts_the_rest() {
        let mut ledger = Ledger::default();
        for (number, name) in [(1, "a.example"), (2, "b.example"), (3, "c.example"), (4, "d.example")] {
            ledger.open(to(number), [name].into_iter());
            ledger.count(to(number), 100, 1_000 * u64::from(number));
        }
        ledger.open(to(4), ["d.example", "e.example"].into_iter());
        ledger.close(to(4));
        assert!(ledger.refuse("10.0.0.1:80", "it is a private address", Some("--allow 10.0.0.1".to_owned())));
        assert!(!ledger.refuse("10.0.0.1:80", "it is a private address", None));
        let account = Account {
            net: "public".to_owned(),
            allow: vec!["host:5432".to_owned()],
            reached: ledger.reached(),
            refused: ledger.refused().to_vec(),
        };
        insta::assert_snapshot!("account", account);
        insta::assert_snapshot!("summary", account.summary().unwrap());
        let nothing = Account { net: "off".to_owned(), ..Account::default() };
        insta::assert_snapshot!("nothing", nothing);
        assert_eq!(nothing.summary(), None);
    }

    #[test]
    fn ten_thousand_destinations_take_no_more_space_than_the_most() {
        let mut ledger = Ledger::default();
        for number in 0..10_000 {
            ledger.open(to(number), std::iter::empty());
            ledger.count(to(number), 1, 1);
            ledger.refuse(&to(number).to_string(), "no", None);
        }
        assert_eq!((ledger.reached().len(), ledger.refused().len()), (MOST + 1, MOST));
        let sum: u64 = ledger.reached().iter().map(|row| row.sent).sum();
        assert_eq!(sum, 10_000);
    }
}
