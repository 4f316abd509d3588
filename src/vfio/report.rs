//! The GPUs of this machine, for people and for programs.

use super::{Eligibility, examine};
use crate::host::pci::{Function, PciFacts, Use};
use serde_json::{Value, json};

/// A block for each GPU.
pub fn table(facts: &PciFacts) -> String {
    let blocks: Vec<_> = facts.gpus().map(|gpu| block(facts, gpu)).collect();
    if blocks.is_empty() { "no GPU on the PCI bus".to_owned() } else { blocks.join("\n\n") }
}

fn block(facts: &PciFacts, gpu: &Function) -> String {
    let eligibility = examine(facts, gpu);
    let mut lines = vec![format!("{}  {}", gpu.address, gpu.title())];
    let mut row = |what: &str, value: String| lines.push(format!("  {what:<9} {value}"));
    row("driver", gpu.driver.clone().unwrap_or_else(|| "none".to_owned()));
    for (group, members) in groups(facts, gpu, &eligibility) {
        let members: Vec<_> = members.into_iter().map(member).collect();
        row("group", format!("{group}: {}", members.join(", ")));
    }
    row("display", display(gpu));
    row("reset", if gpu.reset_methods.is_empty() { "none".to_owned() } else { gpu.reset_methods.join(", ") });
    row("memory", gpu.bars.iter().map(|&bytes| size(bytes)).collect::<Vec<_>>().join(", "));
    if eligibility.obstacles.is_empty() {
        row("eligible", "yes".to_owned());
    }
    for obstacle in &eligibility.obstacles {
        let answer = if obstacle.yields_to_force() { "no, unless forced" } else { "no" };
        row("eligible", format!("{answer}: {obstacle}"));
        row("", format!("→ {}", obstacle.fix()));
    }
    lines.join("\n")
}

/// The groups of this GPU's card; none without an IOMMU.
fn groups<'a>(
    facts: &'a PciFacts,
    gpu: &Function,
    eligibility: &Eligibility,
) -> Vec<(u32, Vec<&'a Function>)> {
    let numbers = match &eligibility.bind_plan {
        Some(bind_plan) => bind_plan.groups.clone(),
        None => gpu.group.into_iter().collect(),
    };
    numbers.into_iter().map(|number| (number, facts.group(number).collect())).collect()
}

fn member(function: &Function) -> String {
    let driver = function.driver.as_deref().unwrap_or("no driver");
    format!("{} {} ({driver})", function.address, function.class)
}

fn display(gpu: &Function) -> String {
    let mut all: Vec<_> = gpu.boot_vga.then(|| "used at boot".to_owned()).into_iter().collect();
    all.extend(gpu.uses.iter().map(Use::to_string));
    if all.is_empty() { "not used by the host".to_owned() } else { all.join("; ") }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

pub fn json(facts: &PciFacts) -> Value {
    facts.gpus().map(|gpu| one(facts, gpu)).collect()
}

fn one(facts: &PciFacts, gpu: &Function) -> Value {
    let eligibility = examine(facts, gpu);
    let groups = groups(facts, gpu, &eligibility).into_iter().map(|(number, members)| {
        let members = members.into_iter().map(|function| {
            json!({
                "address": function.address,
                "class": format!("{:06x}", function.class.0),
                "driver": function.driver,
            })
        });
        json!({ "number": number, "members": members.collect::<Value>() })
    });
    let obstacles = eligibility.obstacles.iter().map(|obstacle| {
        json!({ "reason": obstacle.to_string(), "fix": obstacle.fix(), "force": obstacle.yields_to_force() })
    });
    json!({
        "address": gpu.address,
        "name": gpu.title(),
        "vendor": format!("{:04x}", gpu.vendor),
        "device": format!("{:04x}", gpu.device),
        "driver": gpu.driver,
        "groups": groups.collect::<Value>(),
        "boot_vga": gpu.boot_vga,
        "uses": gpu.uses.iter().map(Use::to_string).collect::<Vec<_>>(),
        "reset_methods": gpu.reset_methods,
        "bars": gpu.bars,
        "physical_function": gpu.physical_function,
        "eligible": eligibility.obstacles.is_empty(),
        "obstacles": obstacles.collect::<Value>(),
    })
}
