//! QEMU is built with what this module can name on a command line, and nothing else: docker/qemu/devices.list.

use super::*;
use std::collections::BTreeSet;

const LIST: &str = include_str!("../../../docker/qemu/devices.list");

/// What the list has for guests of this architecture: `device virtio-blk-pci`, …
fn listed(arch: &str) -> BTreeSet<String> {
    let lines = LIST.lines().map(|line| line.split('#').next().unwrap());
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = words.filter(|words| match words.last() {
        Some(last) => {
            !words[0].starts_with("comes") && (!last.starts_with('[') || *last == format!("[{arch}]"))
        }
        None => false,
    });
    ours.map(|words| format!("{} {}", words[0], words[1])).collect()
}

/// What these arguments make QEMU have.
fn named(argv: &[String]) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for pair in argv.windows(2) {
        let value = |key: &str| pair[1].split(',').find_map(|option| option.strip_prefix(key));
        let first = pair[1].split(',').next().unwrap();
        match pair[0].as_str() {
            switch @ ("-machine" | "-accel" | "-sandbox" | "-device" | "-object" | "-netdev" | "-chardev"
            | "-display") => {
                // What is set of one that another switch names is no kind.
                named.extend((!first.contains('=')).then(|| format!("{} {first}", &switch[1..])));
            }
            "-drive" => {
                named.extend(value("format=").map(|format| format!("block {format}")));
                named.extend(value("file=").map(|_| "block file".to_owned()));
                named.extend(value("snapshot=on").map(|_| "block qcow2".to_owned())); // the overlay
            }
            "-blockdev" => named.extend(value("driver=").map(|driver| format!("block {driver}"))),
            _ => {}
        }
    }
    named
}

/// The command lines of all choices that bring something of their own.
fn all(arch: Arch) -> Vec<Vec<String>> {
    let base = |os_facts: HostFacts| HostFacts { arch: Some(arch), ..os_facts };
    let mut gpu = base(host(Os::Linux));
    gpu.gpu_pack.is_there = true;
    gpu.pci.iommufd = true;
    gpu.pci.functions.iter_mut().for_each(|function| function.cdev = Some(Node::Usable));
    gpu.pci.usb = vec![UsbDevice {
        name: "1-2.4".to_owned(),
        vendor: 0x046d,
        product: 0xc52b,
        node: "001/004".to_owned(),
        access: Node::Usable,
    }];
    let passed = "gpu = \"auto\"\ninput = [\"usb:046d:c52b\", \"/dev/input/by-id/k\"]";
    let cases = [
        (base(host(Os::Linux)), ""),
        (base(no_gl(Os::Linux)), ""),
        (base(no_acceleration(Os::Linux)), "gl = \"off\""),
        (base(host(Os::Linux)), "display = \"sdl\""),
        (base(host(Os::Linux)), "display = \"none\""),
        (gpu, passed),
    ];
    let agents = [Agent::Socket, Agent::Vsock { cid: 70_000 }];
    let roots =
        [RootDisk::Enlarged("/o".into()), RootDisk::ToSave("/o".into()), RootDisk::Saved("/o".into())];
    let mut all = Vec::new();
    for (facts, config) in &cases {
        let (spec, shared) = (spec(facts, config).unwrap(), sharing(facts, config));
        for agent in agents {
            for (spec, root) in roots.iter().flat_map(|root| [(&spec, root), (&shared, root)]) {
                let paths = Paths { root: root.clone(), ..paths() };
                let argv = argv(spec, &paths, &Channels { agent, ..channels(Os::Linux) });
                all.push(argv.into_iter().map(|word| word.into_string().unwrap()).collect());
            }
        }
    }
    all
}

#[test]
fn qemu_is_built_with_the_devices_that_are_in_use_and_no_others() {
    for (arch, name) in [(Arch::X86_64, "x86_64"), (Arch::Aarch64, "aarch64")] {
        let named: BTreeSet<_> = all(arch).iter().flat_map(|argv| named(argv)).collect();
        let listed = listed(name);
        let missing: Vec<_> = named.difference(&listed).collect();
        let unused: Vec<_> = listed.difference(&named).collect();
        assert!(
            missing.is_empty() && unused.is_empty(),
            "docker/qemu/devices.list, {name}: add {missing:?}, remove {unused:?}"
        );
    }
}
