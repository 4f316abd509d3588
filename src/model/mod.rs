//! The vocabulary of a VM: plain data that all stages share, without I/O, and without rules about combinations.

pub mod arch;
mod bind_plan;
mod feature;
mod input;
mod net;
mod passthrough;
mod platform;
mod ports;
mod share;
mod source;
mod spec;
mod terminal;
mod timezone;
pub mod units;

pub use arch::Arch;
pub use bind_plan::{BindPlan, Binding, BoundDevice, SysfsWrite, VFIO_PCI};
pub use feature::Feature;
pub use input::{Input, Inputs, UsbAddress};
pub use net::{HOST_NAME, Net, Rule, Rules, Target};
pub use passthrough::{Backend, MAKE_PACK, Passthrough};
pub use platform::{Accelerator, Os, ServiceManager, Session, Window};
pub use ports::{Ports, Publish, Published, Transport};
pub use share::{GuestPath, Share, ShareAccess, SharedFolder, Shares};
pub(crate) use source::path_choice;
pub use source::{Initrd, RomChoice, Source};
pub use spec::{
    AgentLink, Choice, Enforcement, GpuMode, Jail, Keep, Scope, Start, TimeLimits, VmSpec, Xkb, is_xkb_name,
};
pub use terminal::Terminal;
pub use timezone::Timezone;
