//! Rules as they are typed, printed and refused, and what they name.

use super::*;

#[test]
fn a_rule_is_printed_as_it_is_typed() {
    for rule in [
        "example.com",
        "example.com:443",
        "*.example.com",
        "*.example.com:8080",
        "db",
        "10.1.2.3",
        "10.1.2.3:5432",
        "10.0.0.0/8",
        "10.0.0.0/8:22",
        "0.0.0.0/0",
        "2001:db8::1",
        "[2001:db8::1]:443",
        "2001:db8::/32",
        "[2001:db8::/32]:443",
        "host:5432",
        "_dmarc.example.com",
    ] {
        assert_eq!(rule.parse::<Rule>().unwrap().to_string(), rule);
    }
    let same = |one: &str, two: &str| assert_eq!(one.parse::<Rule>().unwrap(), two.parse().unwrap());
    same("Example.COM.", "example.com");
    same("::ffff:10.1.2.3", "10.1.2.3");
    same("[2001:db8::1]", "2001:db8:0::1");
    same("HOST:1", "host:1");
}

#[test]
fn a_rule_that_is_none_is_refused_with_what_to_type() {
    for (bad, type_this) in [
        ("", "example.com"),
        ("*", "--net public"),
        ("*.", "--net public"),
        ("https://example.com/x?y", "example.com"),
        ("example.com/x", "192.0.2.0/24"),
        ("example.com:", "65535"),
        ("example.com:0", "65535"),
        ("example.com:65536", "65535"),
        ("example.com:+1", "65535"),
        ("example.com:http", "65535"),
        ("exa mple.com", "192.0.2.7"),
        ("a,b", "192.0.2.7"),
        ("-a.com", "192.0.2.7"),
        ("a..b", "192.0.2.7"),
        ("*.*.com", "192.0.2.7"),
        ("bücher.example", "xn--"),
        ("2130706433", "192.0.2.7"),
        ("0x7f.1", "192.0.2.7"),
        ("0x7f000001", "192.0.2.7"),
        ("010.0.0.1", "192.0.2.7"),
        ("10.1", "192.0.2.7"),
        ("1.2.3.4.5", "192.0.2.7"),
        ("1.2.3.4.", "192.0.2.7"),
        ("127.0.0.1", "host:PORT"),
        ("127.0.0.1:80", "host:PORT"),
        ("127.9.0.0/16", "host:PORT"),
        ("0.0.0.0", "host:PORT"),
        ("::1", "host:PORT"),
        ("::", "host:PORT"),
        ("::ffff:127.0.0.1", "host:PORT"),
        ("host", "host:PORT"),
        ("224.0.0.251", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("10.0.0.0/33", "up to 32"),
        ("10.0.0.0/", "up to 32"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("2001:db8::1:443x", "[2001:db8::1]:443"),
        ("[2001:db8::1", "bracket"),
        ("[2001:db8::1]443", ":PORT"),
        ("[10.0.0.1]:1", "brackets"),
    ] {
        let refusal = bad.parse::<Rule>().expect_err(bad).0;
        assert!(refusal.contains(type_this), "{bad}: {refusal}");
    }
}

#[test]
fn a_target_contains_its_addresses_and_names_its_hosts() {
    let contains =
        |rule: &str, address: &str| rule.parse::<Rule>().unwrap().target.contains(address.parse().unwrap());
    assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
    assert!(contains("0.0.0.0/0", "11.0.0.1") && !contains("0.0.0.0/0", "::1"));
    assert!(contains("10.1.2.3", "10.1.2.3") && !contains("10.1.2.3", "10.1.2.4"));
    assert!(contains("2001:db8::/33", "2001:db8:7fff::1") && !contains("2001:db8::/33", "2001:db8:8000::"));
    let names = |rule: &str, host: &str| rule.parse::<Rule>().unwrap().target.names(host);
    assert!(names("example.com", "example.com") && !names("example.com", "a.example.com"));
    assert!(names("*.example.com", "a.b.example.com") && !names("*.example.com", "example.com"));
    assert!(!names("*.example.com", "badexample.com") && !names("10.0.0.0/8", "10.0.0.1"));
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_what_is_printed_reads_as_the_same(text in "[ -~ü]{0,40}") {
        if let Ok(rule) = text.parse::<Rule>() {
            proptest::prop_assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
        }
    }
}
