//! Bundles on the host: made, and looked into.
//!
//! What is made here is a Mongoose OS `fw.zip`, stored, `manifest.json` first, with this project's
//! additions (`docs/format/bundle.md`); `mos` and the devices of Mongoose OS take it too, as long
//! as it has one application. What is looked into may come from anywhere.

mod create;
mod inspect;
mod timestamp;

pub use create::{Part, PartType, Spec, create};
pub use inspect::{Bundle, Member, PartCheck};
pub use timestamp::Timestamp;

use ota_core::bundle::BundleError as Refused;

/// Why a bundle cannot be made or read on the host.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is no ZIP archive, or one that cannot be read.
    #[error("not a bundle: it is no Zip archive")]
    Zip(#[from] zip::result::ZipError),
    /// There is no manifest in it.
    #[error("not a bundle: it has no manifest.json")]
    NoManifest,
    /// Its manifest is no JSON object.
    #[error("manifest.json is no JSON object")]
    Json(#[from] serde_json::Error),
    /// Every device would refuse it.
    #[error("{0}")]
    Refused(Refused),
    /// Two parts have one name, or one file.
    #[error("two parts are called {name:?}; each needs a name and a file of its own")]
    SameName {
        /// Their name.
        name: String,
    },
    /// It would be larger than the format can say.
    #[error("part {name:?} has more than 4 GiB")]
    TooLarge {
        /// Name of the part.
        name: String,
    },
}
