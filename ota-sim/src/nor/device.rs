//! From calls of any length to physical operations, and to `embedded_storage`.

use std::cell::RefCell;
use std::rc::Rc;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::{Nor, NorError, PendingOp, Shape};

/// Something that behaves as a NOR flash whose shape is known at run time.
pub trait NorDevice {
    /// The geometry.
    fn shape(&self) -> Shape;

    /// Reads `bytes.len()` bytes at `address`.
    ///
    /// # Errors
    /// See [`Nor::read`].
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError>;

    /// Performs one physical operation.
    ///
    /// # Errors
    /// See [`Nor::perform`].
    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError>;

    /// Programs `bytes` at `address` as one operation for each page that they touch.
    ///
    /// # Errors
    /// Bounds and alignment are checked before anything is programmed; then the first operation
    /// that fails ends it: see [`Nor::perform`].
    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), NorError> {
        let shape = self.shape();
        let (len, unit) = (bytes.len(), shape.write_size);
        if shape.bounds(address, len).is_none() {
            return Err(NorError::OutOfBounds { address, len });
        }
        if !address.is_multiple_of(unit) || !len.is_multiple_of(unit as usize) {
            return Err(NorError::Unaligned { address, len, unit });
        }
        let (mut address, mut rest) = (address, bytes);
        while !rest.is_empty() {
            let room = shape.page_size - address % shape.page_size;
            let (now, later) = rest.split_at(rest.len().min(room as usize));
            self.perform(&PendingOp::Program { address, bytes: now })?;
            address += now.len() as u32;
            rest = later;
        }
        Ok(())
    }

    /// Erases the sectors of `from..to`, in ascending order, one operation each.
    ///
    /// # Errors
    /// Bounds and alignment are checked before anything is erased; then the first operation that
    /// fails ends it: see [`Nor::perform`].
    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        let shape = self.shape();
        let (len, unit) = (to.saturating_sub(from) as usize, shape.sector_size);
        if from > to || to > shape.capacity {
            return Err(NorError::OutOfBounds { address: from, len });
        }
        if !from.is_multiple_of(unit) || !to.is_multiple_of(unit) {
            return Err(NorError::Unaligned { address: from, len, unit });
        }
        (from..to)
            .step_by(unit as usize)
            .try_for_each(|address| self.perform(&PendingOp::Erase { address }))
    }
}

impl NorDevice for Nor {
    fn shape(&self) -> Shape {
        self.part().shape
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        Nor::read(self, address, bytes)
    }

    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        Nor::perform(self, op)
    }
}

impl<D: NorDevice + ?Sized> NorDevice for &mut D {
    fn shape(&self) -> Shape {
        (**self).shape()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        (**self).read(address, bytes)
    }

    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        (**self).perform(op)
    }
}

/// Shared by the loader and the application of one simulated device, say.
impl<D: NorDevice + ?Sized> NorDevice for Rc<RefCell<D>> {
    fn shape(&self) -> Shape {
        self.borrow().shape()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.borrow_mut().read(address, bytes)
    }

    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        self.borrow_mut().perform(op)
    }
}

/// A [`NorDevice`] as `embedded_storage::nor_flash::NorFlash`, whose write unit `W` and erase unit
/// `E` are constants. [`crate::with_port`] picks them for a device whose part is known at run time.
#[derive(Clone, Debug)]
pub struct NorPort<D, const W: usize, const E: usize> {
    device: D,
}

impl<D: NorDevice, const W: usize, const E: usize> NorPort<D, W, E> {
    /// # Panics
    /// If the device's units are not `W` and `E` bytes.
    pub fn new(device: D) -> Self {
        let shape = device.shape();
        let found = (shape.write_size as usize, shape.sector_size as usize);
        assert_eq!(found, (W, E), "write and erase unit of the device");
        Self { device }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device, to change it.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Gives the device back.
    pub fn into_inner(self) -> D {
        self.device
    }
}

impl<D, const W: usize, const E: usize> ErrorType for NorPort<D, W, E> {
    type Error = NorError;
}

impl<D: NorDevice, const W: usize, const E: usize> ReadNorFlash for NorPort<D, W, E> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.device.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.device.shape().capacity as usize
    }
}

impl<D: NorDevice, const W: usize, const E: usize> NorFlash for NorPort<D, W, E> {
    const WRITE_SIZE: usize = W;
    const ERASE_SIZE: usize = E;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        self.device.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        self.device.write(offset, bytes)
    }
}

/// Runs a block with a device as a [`NorPort`] of the right constants: the bridge from a part
/// chosen at run time to code that is generic over `NorFlash`. The block is compiled once for each
/// geometry.
///
/// ```
/// use embedded_storage::nor_flash::ReadNorFlash;
/// use ota_sim::nor::{Nor, Part};
///
/// let mut nor = Nor::new(&Part::NRF52840);
/// let capacity = ota_sim::with_port!(&mut nor, port => port.capacity());
/// assert_eq!(capacity, 1024 * 1024);
/// ```
///
/// # Panics
/// If no preset of [`Part`](crate::nor::Part) has the device's write and erase unit.
#[macro_export]
macro_rules! with_port {
    ($device:expr, $port:ident => $body:expr) => {{
        let device = $device;
        let shape = $crate::nor::NorDevice::shape(&device);
        $crate::with_port!(@pick shape, device, $port, $body,
            (1, 4096), (4, 128), (4, 256), (4, 1024), (4, 4096), (4, 65536), (8, 2048), (32, 4096),
            (32, 131072))
    }};
    (@pick $shape:ident, $device:ident, $port:ident, $body:expr, $(($w:literal, $e:literal)),*) => {
        match ($shape.write_size, $shape.sector_size) {
            $(($w, $e) => {
                #[allow(unused_mut)]
                let mut $port = $crate::nor::NorPort::<_, $w, $e>::new($device);
                $body
            })*
            other => panic!("no port for write and erase units of {other:?} bytes"),
        }
    };
}
