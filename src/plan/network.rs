//! What the VM reaches, and which of its ports appear on the host.

use super::{PlanError, explicit, refused};
use crate::config::{Config, Origin, PortsChoice};
use crate::model::{Choice, Net, Os, Ports};

/// On Windows the network is QEMU's own, which has no policy: what can't be enforced is not promised.
pub fn net(os: Os, config: &Config) -> Result<Choice<Net>, PlanError> {
    let setting = &config.net;
    let net = Net::from(setting.value);
    if os == Os::Windows && (net != Net::Open || !config.allow.value.0.is_empty()) {
        let because = "on Windows, QEMU's own network is used, which opens everything, this machine too";
        return match (net, config.allow.value.0.is_empty()) {
            (Net::Off, true) => Ok(explicit(net, setting)),
            (_, true) if setting.origin == Origin::Default => Ok(Choice::new(Net::Open, because)),
            (_, true) => Err(refused(format!("net {net}"), setting, because, "use --net open, or --net off")),
            _ => Err(refused(
                "a list of rules",
                &config.allow,
                because,
                "use --net off, or --net open, without --allow",
            )),
        };
    }
    Ok(match (net, &setting.origin) {
        (Net::Public, Origin::Default) => Choice::new(net, "not this machine, and not its local network"),
        _ => explicit(net, setting),
    })
}

/// On Windows nothing leads into the guest but the agent's port.
pub fn ports(os: Os, config: &Config) -> Result<Choice<Ports>, PlanError> {
    let setting = &config.ports;
    let ports = match setting.value {
        PortsChoice::Auto => Ports::Auto,
        PortsChoice::Ask => Ports::Ask,
        PortsChoice::Off => Ports::Off,
    };
    let is_default = setting.origin == Origin::Default;
    if os == Os::Windows {
        let because = "on Windows, QEMU's own network is used";
        let hint = "use: virtualghost ssh NAME, and its -L through `virtualghost ssh-config`";
        if !config.publish.value.0.is_empty() {
            return Err(refused("a published port", &config.publish, because, hint));
        }
        if ports != Ports::Off && !is_default {
            return Err(refused(format!("ports {ports}"), setting, because, hint));
        }
        return Ok(Choice::new(Ports::Off, because));
    }
    Ok(if is_default {
        Choice::new(ports, "what listens in the VM appears on 127.0.0.1")
    } else {
        explicit(ports, setting)
    })
}
