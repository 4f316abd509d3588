//! Names of one word, which the host's search domains complete.

use super::*;

const NAMES: &[(&str, &[u8; 4])] = &[("db.corp.example", &[203, 0, 113, 7]), ("db", &[203, 0, 113, 8])];

fn scene(net: Net, rules: &[&str], search: &str) -> Scene {
    let outside = Outside { resolver_port: Some(resolver(NAMES)), ..Outside::default() };
    let resolvers = Resolvers::parse(&format!("nameserver 127.0.0.1\nsearch {search}\n"));
    Scene::start(net, rules, outside, resolvers)
}

fn found(answer: &[u8]) -> Vec<IpAddr> {
    dns::addresses(answer).iter().map(|found| found.address).collect()
}

#[test]
fn a_word_means_what_it_means_on_the_host() {
    let scene = scene(Net::Public, &[], "lan corp.example");
    let mut guest = scene.guest();
    let answer = guest.resolve("db", messages::A).expect("no answer");
    assert_eq!(found(&answer), [IpAddr::from([203, 0, 113, 7])]);
    assert_eq!(dns::question(&answer).unwrap().name, "db", "it answers what was asked");
    assert_eq!(found(&guest.resolve_over_tcp("db", messages::A)), found(&answer));
    assert!(dns::is_unknown(&guest.resolve("web", messages::A).unwrap()), "no domain has it");
    // Only words are completed.
    assert!(dns::is_unknown(&guest.resolve("db.corp", messages::A).unwrap()));
}

#[test]
fn in_a_list_a_word_is_asked_for_under_the_names_that_are_listed() {
    let full = scene(Net::Off, &["db.corp.example"], "lan corp.example");
    let mut guest = full.guest();
    assert_eq!(found(&guest.resolve("db", messages::A).unwrap()), [IpAddr::from([203, 0, 113, 7])]);
    assert!(dns::is_failure(&guest.resolve("web", messages::A).unwrap()));
    let account = full.account();
    assert_eq!(account.refused.iter().map(|row| &row.to[..]).collect::<Vec<_>>(), ["web"]);
    let none = scene(Net::Off, &["db"], "lan");
    assert_eq!(
        found(&none.guest().resolve("db", messages::A).unwrap()),
        [IpAddr::from([203, 0, 113, 8])],
        "after the domains comes the word itself"
    );
}
