//! Decisions and transactions on machines made of files.

mod machines;
mod tree;

use super::journal::{Journal, JournalEntry, Standing};
use super::transaction::{self, BindError, Writer, bind};
use super::*;
use crate::host::pci::sysfs::Root;
use crate::host::pci::*;
use crate::model::{BindPlan, SysfsWrite};
use crate::testing::{Texts, assert_texts};
use machines::{INTEL, NVIDIA};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tree::{Fate, Kernel, Tree};

/// Every GPU of every machine: the decision, the reasons, the fixes, and which drivers would change.
#[test]
fn each_machine_has_its_decision_with_reason_and_fix() {
    let mut table = String::new();
    for (name, tree) in machines::all() {
        let facts = tree.facts();
        let _ = writeln!(table, "{name}");
        for gpu in facts.gpus() {
            let eligibility = examine(&facts, gpu);
            let answer = match (eligibility.refusal(false), eligibility.refusal(true)) {
                (None, _) => "yes",
                (Some(_), None) => "forced only",
                (Some(_), Some(_)) => "no",
            };
            let card = eligibility.bind_plan.iter().flat_map(|bind_plan| &bind_plan.card);
            let card: Vec<_> = card.map(ToString::to_string).collect();
            let _ = writeln!(table, "  {} {}: {answer}; card {}", gpu.address, gpu.title(), card.join(" "));
            for obstacle in &eligibility.obstacles {
                let _ = writeln!(table, "    {obstacle}\n      → {}", obstacle.fix());
            }
            let devices = eligibility.bind_plan.iter().flat_map(|bind_plan| &bind_plan.devices);
            let devices =
                devices.map(|d| format!("{} ({})", d.address, d.driver.as_deref().unwrap_or("no driver")));
            let _ = writeln!(table, "    would bind {}", devices.collect::<Vec<_>>().join(", "));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_list_describes_a_gpu_for_people_and_for_programs() {
    let (_, tree) = machines::all().swap_remove(1);
    insta::assert_snapshot!(table(&tree.facts()));
    let list = json(&tree.facts());
    assert_eq!(list[1]["address"], "0000:01:00.0");
    assert_eq!(list[1]["groups"][0]["members"].as_array().unwrap().len(), 5);
    assert_eq!(list[1]["bars"][1], 256 << 20);
    assert_eq!((&list[0]["eligible"], &list[1]["eligible"]), (&false.into(), &true.into()));
    assert_eq!(list[0]["obstacles"][0]["force"], true);
}

#[test]
fn without_permission_for_the_group_or_for_sysfs_the_fix_is_named() {
    let (_, tree) = machines::all().swap_remove(14);
    let mut facts = tree.facts();
    let refusal = |facts: &PciFacts| {
        let verdict = examine(facts, facts.gpus().next().unwrap());
        verdict.refusal(true).cloned()
    };
    assert_eq!(refusal(&facts), None);
    facts.groups.insert(1, Node::Denied);
    let denied = refusal(&facts).unwrap();
    assert_eq!(denied, Obstacle::NoPermission { node: "/dev/vfio/1".to_owned() });
    assert!(denied.fix().contains("udev") && denied.fix().contains("memlock"), "{}", denied.fix());

    let facts = PciFacts { privilege: Privilege::None, ..Tree::new(INTEL, &NVIDIA).facts() };
    assert_eq!(refusal(&facts), Some(Obstacle::NotRoot { gpu: "0000:01:00.0".parse().unwrap() }));
}

fn bind_plan(tree: &Tree) -> BindPlan {
    let facts = tree.facts();
    examine(&facts, facts.gpus().next().unwrap()).bind_plan.unwrap()
}

fn entries(tree: &Tree) -> Vec<JournalEntry> {
    Journal::new(&tree.root()).entries()
}

/// Two devices of which one had an override of the user's before.
fn machine() -> Tree {
    let tree = Tree::new(INTEL, &NVIDIA);
    tree.write("sys/bus/pci/devices/0000:01:00.2/driver_override", "xhci_hcd\n");
    tree
}

#[test]
fn devices_are_returned_to_their_former_drivers_in_reverse_order() {
    let tree = machine();
    let (before, mut kernel) = (tree.state(), Kernel::new(&tree));
    bind(&tree.root(), &bind_plan(&tree), false, &mut kernel).unwrap();
    assert!(tree.facts().functions.iter().all(|f| f.is_bound() != f.class.is_bridge()));
    assert_eq!(kernel.written, writes_before());
    let mut written: Vec<_> = kernel.written.iter().map(ToString::to_string).collect();
    let [entry] = &entries(&tree)[..] else { panic!() };
    assert_eq!(entry.standing(&entry.boot_id), Standing::Held);

    kernel.written.clear();
    release(&tree.root(), entry, &mut kernel).unwrap();
    assert_eq!(tree.state(), before);
    assert_eq!(entries(&tree), []);
    written.push("then".to_owned());
    written.extend(kernel.written.iter().map(ToString::to_string));
    insta::assert_snapshot!(written.join("\n"));
}

fn writes_before() -> Vec<SysfsWrite> {
    bind_plan(&machine()).writes()
}

#[test]
fn a_bind_that_is_killed_at_any_write_can_be_undone() {
    for n in 0..=writes_before().len() {
        let tree = machine();
        let before = tree.state();
        let mut kernel = Kernel::with_fate(&tree, n, Fate::Killed);
        let done =
            catch_unwind(AssertUnwindSafe(|| bind(&tree.root(), &bind_plan(&tree), false, &mut kernel)));
        assert_eq!(done.is_err(), n < writes_before().len());
        let [entry] = &entries(&tree)[..] else { panic!("no journal before write {n}") };
        release(&tree.root(), entry, &mut Kernel::new(&tree)).unwrap();
        assert_eq!(tree.state(), before, "killed before write {n}");
        assert_eq!(entries(&tree), []);
    }
}

#[test]
fn a_release_that_is_killed_at_any_write_is_completed_by_the_next() {
    for n in 0..20 {
        let tree = machine();
        let before = tree.state();
        bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::new(&tree)).unwrap();
        let [entry] = &entries(&tree)[..] else { panic!() };
        let mut kernel = Kernel::with_fate(&tree, n, Fate::Killed);
        if catch_unwind(AssertUnwindSafe(|| release(&tree.root(), entry, &mut kernel))).is_err() {
            let [entry] = &entries(&tree)[..] else { panic!("the journal went too early") };
            release(&tree.root(), entry, &mut Kernel::new(&tree)).unwrap();
        }
        assert_eq!(tree.state(), before, "killed before write {n}");
    }
}

/// Killed half-way, and bound again before a release: the journal still has the first former drivers.
#[test]
fn a_second_bind_keeps_the_former_drivers_of_the_first() {
    for fate in [Fate::Done, Fate::Refused] {
        let tree = machine();
        let before = tree.state();
        let mut kernel = Kernel::with_fate(&tree, 4, Fate::Killed);
        catch_unwind(AssertUnwindSafe(|| bind(&tree.root(), &bind_plan(&tree), false, &mut kernel)))
            .unwrap_err();
        let again = bind_plan(&tree);
        assert_eq!(again.devices.len(), 3);
        let done = bind(&tree.root(), &again, false, &mut Kernel::with_fate(&tree, 3, fate));
        assert_eq!(done.is_ok(), fate == Fate::Done);
        for entry in entries(&tree) {
            release(&tree.root(), &entry, &mut Kernel::new(&tree)).unwrap();
        }
        assert_eq!(tree.state(), before);
    }
}

#[test]
fn a_refused_write_undoes_the_ones_before_it() {
    for n in 0..writes_before().len() {
        let tree = machine();
        let before = tree.state();
        let error =
            bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::with_fate(&tree, n, Fate::Refused));
        let error = error.unwrap_err();
        assert!(matches!(error, BindError::PutBack { .. }), "{error}");
        assert!(error.to_string().contains("Device or resource busy"), "{error}");
        assert_eq!(tree.state(), before, "refused at write {n}");
        assert_eq!(entries(&tree), []);
    }
}

/// The write may still happen, so the journal stays for the next release.
#[test]
fn a_write_that_hangs_leaves_the_journal() {
    for n in 0..writes_before().len() {
        let tree = machine();
        let before = tree.state();
        let error = bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::with_fate(&tree, n, Fate::Hung));
        let error = error.unwrap_err();
        assert!(matches!(error, BindError::Left { .. }), "{error}");
        assert!(error.to_string().contains("30 s"), "{error}");
        let [entry] = &entries(&tree)[..] else { panic!() };
        assert!(!entry.kept);
        // It happened after all: the driver released the device.
        let late = tree.path("sys/bus/pci/devices/0000:01:00.0/driver");
        let _ = std::fs::remove_file(late);
        release(&tree.root(), entry, &mut Kernel::new(&tree)).unwrap();
        assert_eq!(tree.state(), before, "hung at write {n}");
    }
}

/// The errors when the kernel refuses a write or does not return.
#[test]
fn failures_of_binding_and_of_releasing() {
    let mut texts = Texts::default();
    for fate in [Fate::Refused, Fate::Hung] {
        let tree = machine();
        let error = bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::with_fate(&tree, 4, fate));
        texts.add(format!("{fate:?}, while it is bound"), error.unwrap_err());
    }
    let tree = machine();
    bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::new(&tree)).unwrap();
    let error = release(&tree.root(), &entries(&tree)[0], &mut Kernel::with_fate(&tree, 0, Fate::Refused));
    texts.add("Refused, while it is released", error.unwrap_err());
    assert_texts!("failures", texts);
}

/// Once.
fn release(root: &Root, entry: &JournalEntry, writer: &mut dyn Writer) -> anyhow::Result<()> {
    transaction::release(root, entry, writer, &[])
}

#[test]
fn a_driver_that_refuses_its_device_is_retried() {
    let tree = machine();
    let before = tree.state();
    bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::new(&tree)).unwrap();
    let [entry] = &entries(&tree)[..] else { panic!() };
    let mut kernel = Kernel::with_fate(&tree, 0, Fate::Refused);
    transaction::release(&tree.root(), entry, &mut kernel, &[Duration::ZERO]).unwrap();
    assert_eq!(tree.state(), before);
    bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::new(&tree)).unwrap();
    let mut hanging = Kernel::with_fate(&tree, 0, Fate::Hung);
    transaction::release(&tree.root(), entry, &mut hanging, &[Duration::ZERO]).unwrap_err();
}

#[test]
fn a_release_that_fails_for_one_device_is_done_for_the_others_and_stays_in_the_journal() {
    let tree = machine();
    let before = tree.state();
    bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::new(&tree)).unwrap();
    let [entry] = &entries(&tree)[..] else { panic!() };
    let error = release(&tree.root(), entry, &mut Kernel::with_fate(&tree, 0, Fate::Refused)).unwrap_err();
    assert!(error.to_string().contains("0000:01:00.0"), "{error}");
    assert_eq!(tree.facts().functions.iter().filter(|function| function.is_bound()).count(), 1);
    release(&tree.root(), entry, &mut Kernel::new(&tree)).unwrap();
    assert_eq!(tree.state(), before);
}

#[test]
fn after_a_boot_there_is_nothing_to_do() {
    let tree = machine();
    bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::new(&tree)).unwrap();
    let [entry] = &entries(&tree)[..] else { panic!() };
    assert_eq!(entry.standing(&entry.boot_id), Standing::Kept);
    tree.write("proc/sys/kernel/random/boot_id", "another-boot\n");
    assert_eq!(entry.standing("another-boot"), Standing::Past);
    let mut kernel = Kernel::new(&tree);
    release(&tree.root(), entry, &mut kernel).unwrap();
    assert_eq!(kernel.written, []);
    assert_eq!(entries(&tree), []);
}

#[test]
fn an_entry_is_orphaned_if_its_holder_has_died() {
    let tree = machine();
    bind(&tree.root(), &bind_plan(&tree), false, &mut Kernel::new(&tree)).unwrap();
    let [entry] = &entries(&tree)[..] else { panic!() };
    let mut dead = entry.clone();
    dead.holder.started += 1;
    assert_eq!(entry.standing(&entry.boot_id), Standing::Held);
    assert_eq!(dead.standing(&entry.boot_id), Standing::Orphaned);
}

#[test]
fn a_release_skips_a_device_that_is_gone_or_got_another_driver_meanwhile() {
    let tree = machine();
    bind(&tree.root(), &bind_plan(&tree), true, &mut Kernel::new(&tree)).unwrap();
    let [entry] = &entries(&tree)[..] else { panic!() };
    let folder = |address: &str| tree.path(&format!("sys/bus/pci/devices/{address}"));
    std::fs::remove_file(folder("0000:01:00.0").join("driver")).unwrap();
    tree.link("sys/bus/pci/devices/0000:01:00.0/driver", "sys/bus/pci/drivers/nouveau");
    std::fs::remove_file(folder("0000:01:00.1")).unwrap();
    release(&tree.root(), entry, &mut Kernel::new(&tree)).unwrap();
    let gpu = sysfs::binding(&tree.root(), "0000:01:00.0".parse().unwrap()).unwrap();
    assert_eq!((gpu.driver.as_deref(), gpu.driver_override), (Some("nouveau"), None));
}

#[test]
fn a_journal_that_a_crash_cut_short_is_ignored() {
    let tree = machine();
    tree.write("var/lib/virtualghost/gpu/0000:01:00.0.json", "{\"gpu\": \"0000:0");
    assert_eq!(entries(&tree), []);
}

/// Laid out as in kernel documentation, ABI/stable/sysfs-bus-usb: interfaces (`1-2.4:1.0`) have no ids.
#[test]
fn usb_interfaces_are_no_devices_and_a_device_has_the_node_of_its_number() {
    let (_, tree) = machines::all().swap_remove(0);
    let file = |name: &str, text: &str| tree.write(&format!("sys/bus/usb/devices/1-2.4/{name}"), text);
    for (name, text) in
        [("idVendor", "046d\n"), ("idProduct", "c52b\n"), ("busnum", "1\n"), ("devnum", "14\n")]
    {
        file(name, text);
    }
    tree.write("sys/bus/usb/devices/1-2.4:1.0/bInterfaceClass", "03\n");
    let found = |access| UsbDevice {
        name: "1-2.4".to_owned(),
        vendor: 0x046d,
        product: 0xc52b,
        node: "001/014".to_owned(),
        access,
    };
    assert_eq!(tree.facts().usb, [found(Node::Denied)], "it has no node");
    tree.write("dev/bus/usb/001/014", "");
    assert_eq!(tree.facts().usb, [found(Node::Usable)]);
}
