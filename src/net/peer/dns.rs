//! DNS messages: what a question asks, what an answer says, and the few answers that the peer makes itself. Pure. Both sides
//! are hostile.

use smoltcp::wire::{DnsFlags, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode, DnsRecord, DnsRecordData};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The header before the question.
const HEADER: usize = 12;

/// The one question of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// In small letters, without the final dot.
    pub name: String,
    pub kind: u16,
    /// Where it ends in the message.
    end: usize,
}

/// An address that a name resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub address: IpAddr,
    pub holds: Duration,
}

/// The question of a message; None if it is no question that a resolver answers.
pub fn question(message: &[u8]) -> Option<Question> {
    let packet = DnsPacket::new_checked(message).ok()?;
    if packet.question_count() != 1 {
        return None;
    }
    let (rest, question) = DnsQuestion::parse(packet.payload()).ok()?;
    if !is_in_one_piece(question.name) {
        return None;
    }
    let name = name(&packet, question.name)?;
    Some(Question { name, kind: question.type_.into(), end: message.len() - rest.len() })
}

impl Question {
    pub fn asks_for_an_address(&self) -> bool {
        [DnsQueryType::A, DnsQueryType::Aaaa].map(u16::from).contains(&self.kind)
    }
}

pub fn is_question(message: &[u8]) -> bool {
    DnsPacket::new_checked(message).is_ok_and(|packet| !packet.flags().contains(DnsFlags::RESPONSE))
}

/// Whether a name's labels follow each other up to the root. A pointer (RFC 1035, 4.1.4) is to an earlier name, and nothing is
/// earlier than the question: what a pointer there reads is bytes that an answer has not.
fn is_in_one_piece(mut name: &[u8]) -> bool {
    const LONGEST_LABEL: u8 = 63;
    while let [length @ 1..=LONGEST_LABEL, rest @ ..] = name {
        let Some(after) = rest.get(usize::from(*length)..) else { return false };
        name = after;
    }
    name == [0]
}

/// A name as text. A label is letters, digits and what else programs use; with another character it is no host's.
fn name(packet: &DnsPacket<&[u8]>, bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    for label in packet.parse_name(bytes) {
        let label = label.ok()?;
        if !label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.') {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        if text.len() > 253 {
            return None;
        }
    }
    Some(text)
}

pub fn id(message: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(..2)?.try_into().ok()?))
}

pub fn set_id(message: &mut [u8], id: u16) {
    if let Some(place) = message.get_mut(..2) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// Whether this is an answer to the question that was asked as `id`.
pub fn answers(message: &[u8], id: u16, asked: &Question) -> bool {
    let Ok(packet) = DnsPacket::new_checked(message) else { return false };
    packet.transaction_id() == id
        && packet.flags().contains(DnsFlags::RESPONSE)
        && question(message)
            .is_some_and(|of_answer| of_answer.name == asked.name && of_answer.kind == asked.kind)
}

/// Whether another resolver may know more: this one failed, or does not want to answer.
pub fn is_failure(message: &[u8]) -> bool {
    DnsPacket::new_checked(message).is_ok_and(|packet| {
        matches!(packet.rcode(), DnsRcode::ServFail | DnsRcode::Refused | DnsRcode::NotImp)
    })
}

/// The addresses in the answer section.
pub fn addresses(message: &[u8]) -> Vec<Address> {
    let Ok(packet) = DnsPacket::new_checked(message) else { return Vec::new() };
    let Some(asked) = question(message) else { return Vec::new() };
    let mut rest = &message[asked.end..];
    let mut found = Vec::new();
    for _ in 0..packet.answer_record_count() {
        let Ok((after, record)) = DnsRecord::parse(rest) else { break };
        rest = after;
        let holds = Duration::from_secs(record.ttl.into());
        match record.data {
            DnsRecordData::A(address) => found.push(Address { address: address.into(), holds }),
            DnsRecordData::Aaaa(address) => found.push(Address { address: address.into(), holds }),
            DnsRecordData::Cname(_) | DnsRecordData::Other(..) => {}
        }
    }
    found
}

/// An answer without records.
fn empty(query: &[u8], code: DnsRcode) -> Option<Vec<u8>> {
    let end = question(query).map_or(HEADER, |question| question.end);
    let mut message = query.get(..end)?.to_owned();
    let asks_recursion = DnsPacket::new_checked(query).ok()?.flags() & DnsFlags::RECURSION_DESIRED;
    let mut packet = DnsPacket::new_unchecked(&mut message[..]);
    packet.set_flags(DnsFlags::RESPONSE | DnsFlags::RECURSION_AVAILABLE | asks_recursion);
    packet.set_question_count(u16::from(end > HEADER));
    packet.set_answer_record_count(0);
    packet.set_authority_record_count(0);
    packet.set_additional_record_count(0);
    // The last four bits (RFC 1035, 4.1.1).
    message[3] = message[3] & 0xf0 | u8::from(code) & 0x0f;
    Some(message)
}

/// The policy forbids the question.
pub fn refusal(query: &[u8]) -> Option<Vec<u8>> {
    empty(query, DnsRcode::Refused)
}

/// Whether there is no such name.
pub fn is_unknown(message: &[u8]) -> bool {
    DnsPacket::new_checked(message).is_ok_and(|packet| packet.rcode() == DnsRcode::NXDomain)
}

/// The same question for another name; None if that is no name.
pub fn renamed(query: &[u8], question: &Question, name: &str) -> Option<Vec<u8>> {
    // Behind the name are its type and its class.
    const REST: usize = 4;
    let mut message = query.get(..HEADER)?.to_vec();
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(query.get(question.end - REST..)?);
    // A name has at most 255 bytes (RFC 1035, 2.3.4).
    (name.len() <= 253).then_some(message)
}

/// The answer to a question that was asked with another name: the addresses, under the question's own one.
pub fn under_its_name(query: &[u8], answer: &[u8]) -> Option<Vec<u8>> {
    let mut message = empty(query, DnsPacket::new_checked(answer).ok()?.rcode())?;
    let found = addresses(answer);
    let mut packet = DnsPacket::new_unchecked(&mut message[..]);
    packet.set_answer_record_count(u16::try_from(found.len()).ok()?);
    for Address { address, holds } in found {
        push_address(&mut message, address, holds);
    }
    Some(message)
}

/// No resolver has answered.
pub fn failure(query: &[u8]) -> Option<Vec<u8>> {
    empty(query, DnsRcode::ServFail)
}

/// It is no question.
pub fn malformed(query: &[u8]) -> Option<Vec<u8>> {
    empty(query, DnsRcode::FormErr)
}

/// The name has this address, and nothing else.
pub fn of_address(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let mut message = empty(query, DnsRcode::NoError)?;
    let question = question(query)?;
    if question.kind == u16::from(DnsQueryType::A) {
        DnsPacket::new_unchecked(&mut message[..]).set_answer_record_count(1);
        push_address(&mut message, address.into(), Duration::from_secs(60));
    }
    Some(message)
}

/// Appends a record: the question's name has this address.
fn push_address(message: &mut Vec<u8>, address: IpAddr, holds: Duration) {
    let (kind, bytes) = match address {
        IpAddr::V4(address) => (DnsQueryType::A, address.octets().to_vec()),
        IpAddr::V6(address) => (DnsQueryType::Aaaa, address.octets().to_vec()),
    };
    // A pointer to where the question begins.
    message.extend([0xc0, HEADER as u8]);
    message.extend(u16::from(kind).to_be_bytes());
    message.extend([0, 1]);
    message.extend(u32::try_from(holds.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend((bytes.len() as u16).to_be_bytes());
    message.extend(bytes);
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A question for a name, as programs send it.
    pub fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
        let mut message = [id.to_be_bytes(), [1, 0], [0, 1], [0, 0], [0, 0], [0, 0]].concat();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            message.push(label.len() as u8);
            message.extend(label.bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    /// An answer with records of a name, its type, and data.
    pub fn answer(query: &[u8], records: &[(&[u8], u16, u32, &[u8])]) -> Vec<u8> {
        let mut message = empty(query, DnsRcode::NoError).unwrap();
        message[7] = records.len() as u8;
        for (name, kind, ttl, data) in records {
            message.extend(*name);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1]);
            message.extend(ttl.to_be_bytes());
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(*data);
        }
        message
    }

    /// There is no such name.
    pub fn unknown(query: &[u8]) -> Vec<u8> {
        empty(query, DnsRcode::NXDomain).unwrap()
    }

    pub const A: u16 = 1;
    pub const AAAA: u16 = 28;
    const CNAME: u16 = 5;
    const SAME: &[u8] = &[0xc0, 12];

    #[test]
    fn a_question_is_read_in_small_letters_and_of_every_type() {
        for kind in [A, AAAA, 15, 16, 33, 65, 65_000] {
            let question = question(&query(1, "WWW.Example.com", kind)).unwrap();
            assert_eq!((question.name.as_str(), question.kind), ("www.example.com", kind));
        }
        assert_eq!(question(&query(1, "", 2)).unwrap().name, "");
    }

    #[test]
    fn an_answer_has_the_addresses_of_its_name_also_behind_an_alias() {
        let query = query(7, "www.example", A);
        let message = answer(
            &query,
            &[(SAME, CNAME, 60, b"\x03cdn\xc0\x10"), (b"\x03cdn\xc0\x10", A, 30, &[192, 0, 2, 7])],
        );
        let asked = question(&query).unwrap();
        assert!(answers(&message, 7, &asked) && !answers(&message, 8, &asked) && !answers(&query, 7, &asked));
        let found = Address { address: "192.0.2.7".parse().unwrap(), holds: Duration::from_secs(30) };
        assert_eq!(addresses(&message), [found]);
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let asked = question(&query(7, "www.example", A)).unwrap();
        for other in [query(7, "evil.example", A), query(7, "www.example", AAAA)] {
            assert!(!answers(&answer(&other, &[]), 7, &asked));
        }
    }

    #[test]
    fn the_peers_own_answers_are_answers_to_the_question() {
        let query = query(7, "host.virtualghost.internal", A);
        let asked = question(&query).unwrap();
        let own = of_address(&query, Ipv4Addr::new(10, 0, 2, 2)).unwrap();
        assert_eq!(addresses(&own)[0].address, IpAddr::from([10, 0, 2, 2]));
        for message in [own, refusal(&query).unwrap(), failure(&query).unwrap()] {
            assert!(answers(&message, 7, &asked), "{message:?}");
        }
        assert!(is_failure(&refusal(&query).unwrap()) && is_failure(&failure(&query).unwrap()));
        let other_type = tests::query(7, "host.virtualghost.internal", AAAA);
        assert_eq!(addresses(&of_address(&other_type, Ipv4Addr::LOCALHOST).unwrap()), []);
    }

    #[test]
    fn a_question_for_another_name_is_answered_under_its_own() {
        // With the option of EDNS behind it, as programs send it.
        let short = [query(7, "db", A), vec![0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]].concat();
        let asked = question(&short).unwrap();
        let long = renamed(&short, &asked, "db.corp.example").unwrap();
        let whole = query(7, "db.corp.example", A);
        assert_eq!(long, [&whole, &short[short.len() - 11..]].concat());
        for bad in ["", "a..b", &"x".repeat(64), &["x"; 150].join(".")] {
            assert_eq!(renamed(&short, &asked, bad), None, "{bad}");
        }
        let name: &[u8] = &[0xc0, 12];
        let found = answer(&whole, &[(name, CNAME, 60, b"\x03cdn\xc0\x0f"), (name, A, 30, &[192, 0, 2, 7])]);
        let own = under_its_name(&short, &found).unwrap();
        assert!(answers(&own, 7, &asked));
        assert_eq!(addresses(&own), addresses(&found));
        assert!(is_unknown(&under_its_name(&short, &unknown(&long)).unwrap()));
    }

    #[test]
    fn a_hostile_message_is_no_question_and_has_no_addresses() {
        let loops = [&query(1, "", A)[..12], &[0xc0, 12, 0, 1, 0, 1]].concat();
        let cut = &query(1, "www.example", A)[..20];
        let odd_label = query(1, "a b.example", A);
        let behind = [&query(1, "", A)[..12], &[0xc0, 18, 0, 1, 0, 1], b"\x04evil\0"].concat();
        let header = [&query(1, "", A)[..12], &[1, b'a', 0xc0, 8, 0, 1, 0, 1]].concat();
        for message in [&[][..], &[0; 11], &[0xff; 512], &loops, &behind, &header, cut, &odd_label] {
            assert_eq!(question(message), None, "{message:?}");
            assert_eq!(addresses(message), []);
        }
        assert!(malformed(&loops).is_some_and(|answer| answer.len() == HEADER));
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
            let _ = (question(&bytes), addresses(&bytes), refusal(&bytes), of_address(&bytes, Ipv4Addr::LOCALHOST));
        }
    }
}
