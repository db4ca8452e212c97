//! Where the bytes of a staged image come from.

use crate::bundle::{Manifest, PartKind, PartPlan, Reader};
use crate::descriptor::{ANY_SLOT, Description, Descriptor, ExtentDigest};

/// What a raw image, which says nothing of itself, is said to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawImage {
    /// Version; at most 32 bytes are kept.
    pub version: heapless::String<32>,
    /// Build id; at most 64 bytes are kept.
    pub build_id: heapless::String<64>,
    /// Its length in bytes, if it is known: then it must come to exactly that.
    pub len: Option<u32>,
    /// Anti-rollback counter.
    pub security_counter: u32,
}

/// What a job reads.
#[allow(clippy::large_enum_variant, reason = "one job at a time, and no heap")]
pub(crate) enum Source {
    /// A bundle, pushed.
    Bundle { reader: Reader, manifest: Option<Manifest> },
    /// An application without anything around it, pushed.
    Raw(RawImage),
    /// Another slot of the device.
    Copy(CopySource),
}

/// A slot that is being copied.
pub(crate) struct CopySource {
    pub(crate) slot: u8,
    pub(crate) descriptor: Descriptor,
    pub(crate) set_as_revert: bool,
}

impl Source {
    /// What the manifest says of a part.
    pub(crate) fn plan(&self, part: PartKind) -> Option<&PartPlan> {
        let Self::Bundle { manifest: Some(manifest), .. } = self else { return None };
        match part {
            PartKind::App => Some(&manifest.app),
            PartKind::Data => manifest.data.as_ref(),
        }
    }

    /// The descriptor of an image that has these digests.
    pub(crate) fn descriptor(
        &self,
        platform: &str,
        app: ExtentDigest,
        data: Option<ExtentDigest>,
    ) -> Option<Descriptor> {
        let description = match self {
            Self::Bundle { manifest: None, .. } => return None,
            Self::Bundle { manifest: Some(manifest), .. } => Description {
                app,
                data,
                version: &manifest.version,
                build_id: &manifest.build_id,
                platform: &manifest.platform,
                security_counter: manifest.security_counter,
                load_address: manifest.app.load_address,
                slot_mask: manifest.app.slot_mask,
            },
            Self::Raw(raw) => Description {
                app,
                data,
                version: &raw.version,
                build_id: &raw.build_id,
                platform,
                security_counter: raw.security_counter,
                load_address: 0,
                slot_mask: ANY_SLOT,
            },
            Self::Copy(copy) => return Some(copy.descriptor.with_data(data.unwrap_or_default())),
        };
        Some(Descriptor::new(&description))
    }
}
