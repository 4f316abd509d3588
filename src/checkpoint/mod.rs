//! Checkpoints: VMs that were saved before they had an identity, so that later starts can resume them. All of instant start.
//!
//! ```text
//! StartMode ─┬─ Boot
//!            ├─ Save ────► the guest boots to its checkpoint ─► CheckpointSteps save it ─► Checkpoint::publish
//!            └─ Restore ─► Checkpoint::find ─► CheckpointSteps restore it
//!                                             then, in both cases: resume, and send the guest its identity
//! ```
//!
//! `store` has the files, `steps` the QMP commands (pure), `start_mode` the choice between saving and restoring. The guest's
//! side is `agent/checkpoint.rs`.

mod start_mode;
mod steps;
mod store;

pub use start_mode::{StartMode, resume};
pub use steps::{CheckpointPlan, CheckpointSource, CheckpointSteps, HomeDisk, Resume, StepOutcome};
pub use store::{Checkpoint, CheckpointFiles};
