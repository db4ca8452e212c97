//! Flash whose changes are awaited, over `embedded-storage-async`.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage_async::nor_flash::NorFlash;

use super::devices::{MapError, slot_count};
use super::{FlashRead, Geometry, Layout, LayoutError, MAX_WRITE_SIZE, Region};

/// Flash that can be changed while others run.
pub trait AsyncFlashMap: FlashRead {
    /// Programs `bytes` (at most [`super::MAX_PROGRAM`]) at `offset`; both multiples of the write
    /// unit. The errors are the driver's.
    fn program(
        &mut self,
        region: Region,
        offset: u32,
        bytes: &[u8],
    ) -> impl Future<Output = Result<(), Self::Error>>;

    /// Erases the sector that begins at `offset`. The errors are the driver's.
    fn erase_sector(
        &mut self,
        region: Region,
        offset: u32,
    ) -> impl Future<Output = Result<(), Self::Error>>;
}

/// All regions on one asynchronous device.
///
/// Programs and erases are awaited. Reads are polled to their end in place: at most 4 KiB, which a
/// memory-mapped flash copies at once and a serial one shifts in within milliseconds.
pub struct AsyncOneDevice<'a, F> {
    flash: F,
    layout: Layout<'a>,
    shape: Geometry,
}

impl<'a, F: NorFlash> AsyncOneDevice<'a, F> {
    /// `erase_value` is what an erased byte reads as: 0xFF on most parts.
    ///
    /// # Errors
    /// [`LayoutError`]: what is wrong with `layout` on this device.
    pub fn new(flash: F, layout: Layout<'a>, erase_value: u8) -> Result<Self, LayoutError> {
        const { assert!(F::WRITE_SIZE <= MAX_WRITE_SIZE, "write units above 32 bytes do not work") };
        const { assert!(F::READ_SIZE <= 4, "reads are made in multiples of 4 bytes") };
        const { assert!(F::ERASE_SIZE <= 0x8000_0000, "an erase unit has at most 2 GiB") };
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the assertions above")]
        let shape = Geometry {
            size: u32::try_from(flash.capacity()).unwrap_or(u32::MAX),
            sector_size: F::ERASE_SIZE as u32,
            write_size: F::WRITE_SIZE as u32,
            erase_value,
        };
        layout.check(&[shape])?;
        Ok(Self { flash, layout, shape })
    }

    /// The driver.
    pub fn device(&mut self) -> &mut F {
        &mut self.flash
    }

    fn address(&self, region: Region, offset: u32) -> Option<u32> {
        self.layout.extent(region)?.address.checked_add(offset)
    }
}

impl<F: NorFlash> FlashRead for AsyncOneDevice<'_, F> {
    type Error = MapError<F::Error>;

    fn slots(&self) -> u8 {
        slot_count(&self.layout)
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        Some(Geometry { size: self.layout.extent(region)?.size, ..self.shape })
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let address = self.address(region, offset).ok_or(MapError::OutOfRegion)?;
        let mut reading = pin!(self.flash.read(address, bytes));
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(result) = reading.as_mut().poll(&mut context) {
                return result.map_err(MapError::Device);
            }
        }
    }
}

impl<F: NorFlash> AsyncFlashMap for AsyncOneDevice<'_, F> {
    async fn program(
        &mut self,
        region: Region,
        offset: u32,
        bytes: &[u8],
    ) -> Result<(), Self::Error> {
        let address = self.address(region, offset).ok_or(MapError::OutOfRegion)?;
        self.flash.write(address, bytes).await.map_err(MapError::Device)
    }

    async fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), Self::Error> {
        let address = self.address(region, offset).ok_or(MapError::OutOfRegion)?;
        let end = address.saturating_add(self.shape.sector_size);
        self.flash.erase(address, end).await.map_err(MapError::Device)
    }
}
