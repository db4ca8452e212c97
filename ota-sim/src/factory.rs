//! The flash of a device as it leaves the factory: an image in slot 0 with its descriptor, nothing
//! else. The loader finds the image by its descriptor and writes the first record.

use ota_core::bundle::{Manifest, Selector};
use ota_core::crc::crc32;
use ota_core::descriptor::{ANY_SLOT, Description, Descriptor, ExtentDigest};
use ota_core::flash::Extent;
use sha2::Digest;

use crate::bundle::{Bundle, BundleError};
use crate::layout::Board;

/// What the factory writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The application.
    pub app: Vec<u8>,
    /// The data part.
    pub data: Option<Vec<u8>>,
    /// Its version.
    pub version: String,
    /// Which build of that version.
    pub build_id: String,
    /// Its platform.
    pub platform: String,
    /// Anti-rollback counter.
    pub security_counter: u32,
    /// The address that it was linked for; 0: anywhere.
    pub load_address: u32,
    /// The slots it may run in, bit by bit.
    pub slot_mask: u8,
}

/// Why there is no such factory image.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    /// The bundle cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A device of this layout would refuse the bundle.
    #[error("{0}")]
    Refused(ota_core::bundle::BundleError),
    /// A file that the manifest names is not in the bundle, or is compressed or damaged.
    #[error("file {file:?} of the bundle is missing, compressed or damaged: see `bundle show`")]
    BadFile {
        /// Its name.
        file: String,
    },
    /// A part is larger than its place.
    #[error(
        "{part} has {size} bytes, slot 0 has room for {room}; make it smaller, or the slots larger"
    )]
    TooBig {
        /// `app` or `data`.
        part: &'static str,
        /// Its size in bytes.
        size: usize,
        /// Room in bytes.
        room: u32,
    },
    /// There is no application.
    #[error("the application is empty")]
    Empty,
}

impl Image {
    /// An image without bytes.
    pub fn new(version: &str, platform: &str) -> Self {
        Self {
            app: Vec::new(),
            data: None,
            version: version.to_owned(),
            build_id: format!("factory/{version}"),
            platform: platform.to_owned(),
            security_counter: 0,
            load_address: 0,
            slot_mask: ANY_SLOT,
        }
    }

    /// What a device of this layout would take from a bundle into slot 0.
    ///
    /// # Errors
    /// [`FactoryError`]: it would take nothing.
    pub fn from_bundle(bytes: &[u8], board: &Board) -> Result<Self, FactoryError> {
        let bundle = Bundle::open(bytes)?;
        let manifest = bundle.file(ota_core::bundle::MANIFEST_NAME).unwrap_or_default();
        let selector = Selector {
            platform: bundle.text("platform"),
            target_slot: 0,
            has_data: board.data_room() > 0,
        };
        let manifest = Manifest::select(manifest, &selector).map_err(FactoryError::Refused)?;
        let checks = bundle.parts();
        let file = |name: &str| {
            let sound = !checks.iter().any(|part| part.file == name && !part.problems.is_empty());
            let bytes = bundle.file(name).filter(|_| sound).map(<[u8]>::to_vec);
            bytes.ok_or_else(|| FactoryError::BadFile { file: name.to_owned() })
        };
        Ok(Self {
            app: file(&manifest.app.src)?,
            data: manifest.data.as_ref().map(|data| file(&data.src)).transpose()?,
            version: manifest.version.to_string(),
            build_id: manifest.build_id.to_string(),
            platform: manifest.platform.to_string(),
            security_counter: manifest.security_counter,
            load_address: manifest.app.load_address,
            slot_mask: manifest.app.slot_mask,
        })
    }

    /// Its descriptor, made by the engine's own code.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&Description {
            app: digest(&self.app),
            data: self.data.as_deref().map(digest),
            version: &self.version,
            build_id: &self.build_id,
            platform: &self.platform,
            security_counter: self.security_counter,
            load_address: self.load_address,
            slot_mask: self.slot_mask,
        })
    }
}

/// All bytes of the flash of a new device.
///
/// # Errors
/// [`FactoryError`]: the image does not fit slot 0.
pub fn flash(board: &Board, image: &Image) -> Result<Vec<u8>, FactoryError> {
    let shape = board.part().shape;
    let mut flash = vec![shape.erase_value; shape.capacity as usize];
    let slot = board.layout().slots[0];
    if image.app.is_empty() {
        return Err(FactoryError::Empty);
    }
    put(&mut flash, slot.app, board.app_room(), &image.app, "app")?;
    if let Some(data) = &image.data {
        let extent = slot.data.unwrap_or(Extent::new(0, 0));
        put(&mut flash, extent, extent.size, data, "data")?;
    }
    let descriptor = (slot.app.address + board.app_room()) as usize;
    let bytes = *image.descriptor().as_bytes();
    flash[descriptor..][..bytes.len()].copy_from_slice(&bytes);
    Ok(flash)
}

fn put(
    flash: &mut [u8],
    extent: Extent,
    room: u32,
    bytes: &[u8],
    part: &'static str,
) -> Result<(), FactoryError> {
    if bytes.len() > room as usize {
        return Err(FactoryError::TooBig { part, size: bytes.len(), room });
    }
    flash[extent.address as usize..][..bytes.len()].copy_from_slice(bytes);
    Ok(())
}

fn digest(bytes: &[u8]) -> ExtentDigest {
    ExtentDigest {
        // Checked against the room, a `u32`, before anything is written.
        len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        crc: crc32(bytes),
        sha256: sha2::Sha256::digest(bytes).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Spec, create};
    use crate::flash::SimFlash;
    use crate::nor::Nor;
    use ota_core::record::Reason;
    use ota_core::verify::{Check, Wanted, verify};

    #[test]
    fn the_loader_boots_a_factory_image_of_any_board() {
        for name in crate::layout::names() {
            let board: Board = name.parse().unwrap();
            let image = Image { app: vec![0x5A; 3001], ..Image::new("1.0.0", "sim") };
            let flash = flash(&board, &image).unwrap();
            let mut map = SimFlash::new(Nor::with_image(board.part(), &flash), &board).unwrap();
            let options = ota_core::BootOptions::default();
            let plan = ota_core::boot(&mut map, &options, &mut [0; 256])
                .unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(plan.slot, 0, "{name}");
            assert_eq!(plan.record.reason(), Reason::Factory, "{name}");
            assert!(plan.durable, "{name}");
        }
    }

    #[test]
    fn a_bundle_becomes_a_whole_image_with_data() {
        let board = Board::sim();
        let spec = Spec { security_counter: 7, ..Spec::new("2.0.0", "sim") };
        let bundle = create(&spec.with_app(vec![1; 100]).with_data(vec![2; 50])).unwrap();
        let image = Image::from_bundle(&bundle, &board).unwrap();
        assert_eq!(image.data.as_deref(), Some(&[2; 50][..]));
        let flash = flash(&board, &image).unwrap();
        let data = board.layout().slots[0].data.unwrap().address as usize;
        assert_eq!(flash[data..data + 51], [&[2; 50][..], &[0xFF]].concat());
        let mut map = SimFlash::new(Nor::with_image(board.part(), &flash), &board).unwrap();
        let wanted = Wanted { check: Check::Sha256, descriptor_crc: None, security_counter: 7 };
        let verified = verify(&mut map, 0, &wanted, &mut [0; 256]).ok().unwrap();
        assert_eq!(verified.head().security_counter(), 7);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_room_there_is() {
        let board: Board = "4k4:data=4K".parse().unwrap();
        let fits = vec![0; board.app_room() as usize];
        let image = Image { app: fits.clone(), ..Image::new("1", "sim") };
        assert!(flash(&board, &image).is_ok());
        let image = Image { app: [fits, vec![0]].concat(), ..Image::new("1", "sim") };
        assert!(matches!(flash(&board, &image), Err(FactoryError::TooBig { part: "app", .. })));
        let data = Some(vec![0; 4097]);
        let image = Image { app: vec![1], data, ..Image::new("1", "sim") };
        assert!(matches!(flash(&board, &image), Err(FactoryError::TooBig { part: "data", .. })));
        assert!(matches!(flash(&board, &Image::new("1", "sim")), Err(FactoryError::Empty)));
    }

    #[test]
    fn a_damaged_bundle_is_no_factory_image() {
        let mut bundle = create(&Spec::new("1.0.0", "sim").with_app(vec![0x55; 1000])).unwrap();
        let app = bundle.windows(100).position(|bytes| bytes == [0x55; 100]).unwrap();
        bundle[app] ^= 1;
        let error = Image::from_bundle(&bundle, &Board::sim()).unwrap_err();
        assert!(matches!(error, FactoryError::BadFile { .. }), "{error}");
    }
}
