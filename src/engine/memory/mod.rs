//! Device memory, planned before a clip begins: what its stages take (`footprint`), which weights are there when (`plan`),
//! how much may be used (`budget`), and the weights themselves (`residents`).

mod budget;
mod footprint;
mod plan;
mod residents;

pub use budget::{Budget, CONTEXT_BYTES};
pub use footprint::{ClipShape, FEWEST_LATENTS_PER_CHUNK, LATENTS_PER_CHUNK, REMEMBERED_TEXTS, Workload};
pub use plan::{Held, Part, PartKey, StageNeed, StagePlan, TooLarge, least, plan, whole};
pub(in crate::engine) use residents::{Needed, Residents, TextKey};
