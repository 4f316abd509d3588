//! A time zone by its name in the tz database.

use super::units::Invalid;
use std::fmt;
use std::str::FromStr;

/// A name such as `Europe/Berlin`. It is a word of the kernel's command line and a path below the guest's zoneinfo folder, so
/// it has no character that ends the one or leaves the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timezone(String);

impl Timezone {
    pub fn utc() -> Self {
        Self("UTC".to_owned())
    }

    pub fn is_utc(&self) -> bool {
        matches!(self.0.as_str(), "UTC" | "Etc/UTC")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Timezone {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const LONGEST: usize = 64;
        let is_part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
        };
        if text.len() <= LONGEST && text.split('/').all(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid(format!(
                "timezone must be auto or the name of a time zone such as Europe/Berlin, not {text:?}"
            )))
        }
    }
}

impl fmt::Display for Timezone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_a_name_that_ends_no_word_and_leaves_no_folder() {
        for good in
            ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "GB-Eire", "EST5EDT"]
        {
            assert_eq!(good.parse::<Timezone>().unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "Europe/../x",
            "Europe/",
            "A//B",
            "a b",
            "a\n",
            "a\"",
            "<+03>-3",
            "ä",
            &long,
        ] {
            assert!(bad.parse::<Timezone>().is_err(), "{bad:?}");
        }
        assert!(Timezone::utc().is_utc() && "Etc/UTC".parse::<Timezone>().unwrap().is_utc());
    }
}
