//! Simulated flash, as the engine sees it on a board.
//!
//! Boards link [`OneDevice`] over a driver whose units are constants; so does this. The part is
//! only known at run time here, so that what comes out is one type for all parts.

use ota_core::flash::{FlashMap, FlashRead, Geometry, LayoutError, OneDevice, Region};

use crate::layout::Board;
use crate::nor::{FileNor, FileNorError, Flicker, Nor, NorDevice, NorError};

/// A [`FlashMap`] over a simulated flash with the layout of a board.
pub struct SimFlash<'a>(Box<dyn FlashMap<Error = FlashFault> + 'a>);

/// A flash operation failed; the engine asks no more than that.
pub type FlashFault = ota_core::flash::MapError<NorError>;

impl<'a> SimFlash<'a> {
    /// `device` with the layout of `board`.
    ///
    /// # Errors
    /// [`LayoutError`]: the board was made for another part.
    ///
    /// # Panics
    /// If no preset part has the device's write and erase unit.
    pub fn new<D: NorDevice + 'a>(device: D, board: &'a Board) -> Result<Self, LayoutError> {
        let erase_value = device.shape().erase_value;
        crate::with_port!(device, port => {
            let map = OneDevice::with_erase_value(port, board.layout(), erase_value)?;
            Ok(Self(Box::new(map)))
        })
    }
}

impl FlashRead for SimFlash<'_> {
    type Error = FlashFault;

    fn slots(&self) -> u8 {
        self.0.slots()
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        self.0.geometry(region)
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.0.read(region, offset, bytes)
    }
}

impl FlashMap for SimFlash<'_> {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.0.program(region, offset, bytes)
    }

    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), FlashFault> {
        self.0.erase_sector(region, offset)
    }
}

/// Where a simulated device keeps its flash: in memory or in a file.
pub trait Storage: NorDevice {
    /// The flash.
    fn nor(&self) -> &Nor;

    /// The flash, to arm faults.
    fn nor_mut(&mut self) -> &mut Nor;

    /// Power comes back; `seed` picks how torn units read from now on.
    ///
    /// # Errors
    /// The file cannot be written.
    fn power_on(&mut self, seed: u64) -> Result<Flicker, FileNorError>;
}

impl Storage for Nor {
    fn nor(&self) -> &Nor {
        self
    }

    fn nor_mut(&mut self) -> &mut Nor {
        self
    }

    fn power_on(&mut self, seed: u64) -> Result<Flicker, FileNorError> {
        Ok(Nor::power_on(self, seed))
    }
}

impl Storage for FileNor {
    fn nor(&self) -> &Nor {
        FileNor::nor(self)
    }

    fn nor_mut(&mut self) -> &mut Nor {
        FileNor::nor_mut(self)
    }

    fn power_on(&mut self, seed: u64) -> Result<Flicker, FileNorError> {
        FileNor::power_on(self, seed)
    }
}
