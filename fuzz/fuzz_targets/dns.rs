//! Any DNS message, of a guest or of a resolver: reading it ends, and what the peer answers is an answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::Ipv4Addr;
use virtualghost::net::peer::dns;

fuzz_target!(|input: &[u8]| {
    let question = dns::question(input);
    let _ = dns::is_failure(input);
    assert!(dns::addresses(input).len() <= usize::from(u16::MAX));
    for made in [
        dns::refusal(input),
        dns::failure(input),
        dns::malformed(input),
        dns::of_address(input, Ipv4Addr::LOCALHOST),
    ] {
        let Some(made) = made else { continue };
        assert!(!dns::is_question(&made) && made.len() <= input.len() + 16);
        if let (Some(question), Some(id)) = (&question, dns::id(input)) {
            assert!(dns::answers(&made, id, question));
        }
    }
});
