//! A hook before each mutating operation: where a campaign cuts power.

use super::{Nor, NorDevice, NorError, PendingOp, Shape};

/// Sees each operation before it happens.
///
/// Any `FnMut(&Nor, &PendingOp)` is one. Nothing is allocated on the way.
pub trait Observer {
    /// `nor` is the flash just before `op`, which will not be refused. Clone it to try out what a
    /// cut would leave ([`Nor::apply_torn`]).
    fn before(&mut self, nor: &Nor, op: &PendingOp<'_>);
}

impl<F: FnMut(&Nor, &PendingOp<'_>)> Observer for F {
    fn before(&mut self, nor: &Nor, op: &PendingOp<'_>) {
        self(nor, op);
    }
}

/// A flash whose operations are shown to an observer first.
pub struct Observed<'a, O: ?Sized> {
    nor: &'a mut Nor,
    observer: &'a mut O,
}

impl<'a, O: Observer + ?Sized> Observed<'a, O> {
    /// Shows the operations on `nor` to `observer`.
    pub fn new(nor: &'a mut Nor, observer: &'a mut O) -> Self {
        Self { nor, observer }
    }

    /// The flash.
    pub fn nor(&self) -> &Nor {
        self.nor
    }
}

impl<O: Observer + ?Sized> NorDevice for Observed<'_, O> {
    fn shape(&self) -> Shape {
        self.nor.shape()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.nor.read(address, bytes)
    }

    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        self.nor.check(op)?;
        self.observer.before(self.nor, op);
        self.nor.perform(op)
    }
}
