//! Each finding, and reports.

use super::*;
use crate::error::Kind;
use crate::host::Availability;
use crate::host::pci::{Class, PciFacts};
use crate::launch::testing::launch_plan;
use crate::model::{Feature, Os};
use crate::payload::PayloadError;
use crate::testing::{Texts, assert_texts, bus, gpu, host, spec};

const CACHE: &str = "/c/virtualghost";

#[test]
fn findings() {
    let cache = Path::new(CACHE);
    let folder = tempfile::tempdir().unwrap();
    let mut known = KnownFailures::load(&folder.path().join("known-failures.json"), "here", "1");
    known.add([(Feature::Gl, "egl: eglInitialize failed")]).unwrap();
    let passed = bus(vec![gpu("0000:01:00.0", "vfio-pci", Some(13)), gpu("0000:02:00.0", "nouveau", None)]);
    let missing: Error = PayloadError::NothingEmbedded.into();
    let own = launch_plan(&host(Os::Linux), folder.path());
    let mib = |amount: u64| Some(amount << 20);
    let mut texts = Texts::default();
    let mut add = |about: &str, found: &[Finding]| {
        texts.add(about, found.iter().map(|finding| format!("{finding}\n")).collect::<String>());
    };
    add("no configuration file", &[checks::config(&Ok(Config::merge([])), Path::new("/nowhere"))]);
    add("a configuration file", &[checks::config(&Ok(Config::merge([])), Path::new("/"))]);
    add("a bad configuration", &[checks::config(&Err(Error::new(Kind::BadInput, "it is bad")), cache)]);
    add("no launch", &[Finding::broken("launch", &missing)]);
    add("a cache", &[checks::cache(cache, false, true)]);
    add("a cache that is not writable", &[checks::cache(cache, false, false)]);
    add("a cache on a noexec mount", &[checks::cache(cache, true, true)]);
    add("disk", &[checks::disk(cache, mib(9000), 400 << 20)]);
    add("disk, little", &[checks::disk(cache, mib(500), 400 << 20)]);
    add("disk, too little", &[checks::disk(cache, mib(100), 400 << 20)]);
    add("disk, not known", &[checks::disk(cache, None, 0)]);
    let wanted = "2048".parse().unwrap();
    add("memory", &[checks::memory(wanted, Some(4096))]);
    add("memory, too little", &[checks::memory(wanted, Some(1000))]);
    add("memory, not known", &[checks::memory(wanted, None)]);
    let broken = Error::new(Kind::Failed, "can't read /c/a");
    add("files that can't be read", &[Finding::broken("assets", &broken)]);
    add("nothing unpacked", &[integrity(&own)]);
    add("verified files", &[checks::assets(cache, &[])]);
    add("a damaged file", &[checks::assets(cache, &["/c/a".into()])]);
    add("damaged files", &[checks::assets(cache, &["/c/a".into(), "/c/b".into(), "/c/c".into()])]);
    let jail = |facts: &HostFacts, text| checks::jail(facts, &spec(facts, text).unwrap().jail);
    let old = Availability::unavailable_with_fix("this kernel has no Landlock", "what to type");
    add("a jail", &[jail(&host(Os::Linux), "")]);
    add("no jail on purpose", &[jail(&host(Os::Linux), "jail = \"off\"")]);
    add("no jail on an old kernel", &[jail(&HostFacts { jail: old, ..host(Os::Linux) }, "")]);
    add("no jail on another system", &[jail(&host(Os::MacOs), "")]);
    add("vsock", &[checks::vsock(&Availability::Available)]);
    add(
        "no vsock",
        &[checks::vsock(&Availability::unavailable_with_fix(
            "/dev/vhost-vsock does not open",
            "what to type",
        ))],
    );
    add("passthrough", &checks::passthrough(&HostFacts { pci: passed, ..host(Os::Linux) }));
    let without = |pci| checks::passthrough(&HostFacts { pci, ..host(Os::Linux) });
    let mut disk = gpu("0000:03:00.0", "nvme", Some(1));
    disk.class = Class(0x01_0802);
    add("no GPU to pass", &without(bus(vec![disk])));
    add("no PCI bus", &without(PciFacts::default()));
    add("no passthrough", &checks::passthrough(&host(Os::MacOs)));
    add("ssh", &[checks::ssh(Ok(()))]);
    let no_client = Error::new(Kind::Failed, "there is no client").hint("what to type");
    add("no ssh", &[checks::ssh(Err(no_client))]);
    let left = [(Path::new("/c/a"), 3 << 20), (Path::new("/c/b"), 1 << 20)];
    add("leftovers", &[checks::leftovers(left.into_iter()).unwrap()]);
    let day = known.current().next().unwrap().day();
    let failure = checks::known_failure(known.current().next().unwrap());
    add("a known failure", &[Finding { seen: failure.seen.replace(&day, "[DATE]"), ..failure }]);
    assert_texts!("findings", texts);
}

#[test]
fn reports() {
    let mut texts = Texts::default();
    for state in [State::Ok, State::Note, State::Limited, State::Broken] {
        let finding = Finding::new("check", state, "what was seen").fix("what to type");
        texts.add(format!("{state:?}"), Report::new(vec![finding]));
    }
    assert_texts!("reports", texts);
}
