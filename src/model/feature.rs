//! What can fail and be replaced: one type for the host's facts, the supervisor's diagnosis, the fallback and the
//! known failures.

use super::platform::{Accelerator, Window};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that a launch tries first and replaces with a fallback when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    Accelerator(Accelerator),
    /// The host's OpenGL in the guest (virgl).
    Gl,
    /// The host's OpenGL in the strict jail.
    StrictJail,
    /// A window of this toolkit.
    Window(Window),
    /// The connection to the agent by vsock.
    Vsock,
    /// Restoring a checkpoint.
    Checkpoint,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accelerator(accelerator) => accelerator.fmt(f),
            Self::Gl => f.write_str("OpenGL"),
            Self::StrictJail => f.write_str("OpenGL in the strict jail"),
            Self::Window(window) => write!(f, "the {window} window"),
            Self::Vsock => f.write_str("vsock"),
            Self::Checkpoint => f.write_str("instant start"),
        }
    }
}

impl Feature {
    pub fn is_accelerator(self) -> bool {
        matches!(self, Self::Accelerator(_))
    }

    pub fn is_gl(self) -> bool {
        self == Self::Gl
    }

    /// In the strict jail it is not known yet whether the jail or OpenGL itself fails.
    pub fn is_driver(self) -> bool {
        matches!(self, Self::Gl | Self::StrictJail)
    }

    pub fn is_window(self) -> bool {
        matches!(self, Self::Window(_))
    }

    pub fn is_vsock(self) -> bool {
        self == Self::Vsock
    }

    pub fn is_checkpoint(self) -> bool {
        self == Self::Checkpoint
    }
}
