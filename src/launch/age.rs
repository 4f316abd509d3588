//! What a start prints when the executable's QEMU is old: what stands between a guest and the host has to be current. Asks
//! nothing of the network: the day is in the executable.

use crate::payload::Qemu;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);
const OLD_DAYS: u64 = 90;

/// The sentence, if QEMU is old. One whose age is not known is not.
pub fn sentence(qemu: &Qemu, now: SystemTime) -> Option<String> {
    let day = qemu.date.as_deref()?;
    let date = humantime::parse_rfc3339_weak(&format!("{day}T00:00:00Z")).ok()?;
    let days = now.duration_since(date).ok()?.as_secs() / DAY.as_secs();
    (days > OLD_DAYS).then(|| {
        format!(
            "this executable contains QEMU {} from {day}, {days} days ago; a newer VirtualGhost may fix vulnerabilities \
             (printed once a month; to turn it off: age_notice = false in the configuration)",
            qemu.version
        )
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::model::Arch;

    pub fn qemu(date: Option<&str>) -> Qemu {
        Qemu {
            arch: Arch::X86_64,
            version: "10.0.13".to_owned(),
            date: date.map(str::to_owned),
            program: String::new(),
            modules: String::new(),
            data: String::new(),
        }
    }

    #[test]
    fn a_qemu_older_than_90_days_is_named() {
        let now = SystemTime::now();
        let from_days_ago = |days: u32| {
            let text = humantime::format_rfc3339_seconds(now - DAY * days).to_string();
            sentence(&qemu(Some(&text[..10])), now)
        };
        assert_eq!(from_days_ago(90), None);
        let text = from_days_ago(91).unwrap();
        assert!(text.contains("91 days"), "{text}");
    }

    #[test]
    fn a_day_that_is_not_known_or_in_the_future_gives_no_sentence() {
        for date in [None, Some("soon"), Some("2999-01-01")] {
            assert_eq!(sentence(&qemu(date), SystemTime::now()), None, "{date:?}");
        }
    }
}
