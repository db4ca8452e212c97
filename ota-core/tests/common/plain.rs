//! Flash without rules, of any geometry at run time: for what depends on the geometry only.

use ota_core::flash::{FlashMap, FlashRead, Geometry, Region};

/// Every region lies in memory of its own; changes are noted.
pub(crate) struct Plain {
    slots: u8,
    geometry: Geometry,
    /// The record region, then one application region for each slot.
    memory: Vec<Vec<u8>>,
    /// Offset and length of each program of the record region.
    pub(crate) programs: Vec<(u32, u32)>,
    /// The next read at this offset of the record region gives these bytes instead, once.
    pub(crate) glitch: Option<(u32, [u8; 8])>,
}

impl Plain {
    /// Erased; `geometry` is that of every region.
    pub(crate) fn new(slots: u8, geometry: Geometry) -> Self {
        let region = vec![geometry.erase_value; geometry.size as usize];
        let memory = vec![region; 1 + usize::from(slots)];
        Self { slots, geometry, memory, programs: Vec::new(), glitch: None }
    }

    /// Puts bytes into a region, past all rules.
    pub(crate) fn poke(&mut self, region: Region, offset: u32, bytes: &[u8]) {
        self.place(region, offset, bytes.len()).expect("in the region").copy_from_slice(bytes);
    }

    /// The record region.
    pub(crate) fn record(&self) -> &[u8] {
        &self.memory[0]
    }

    fn place(&mut self, region: Region, offset: u32, len: usize) -> Option<&mut [u8]> {
        let index = match region {
            Region::Record => 0,
            Region::App(slot) => 1 + usize::from(slot),
            Region::Data(_) => return None,
        };
        self.memory.get_mut(index)?.get_mut(offset as usize..)?.get_mut(..len)
    }
}

impl FlashRead for Plain {
    type Error = ();

    fn slots(&self) -> u8 {
        self.slots
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        match region {
            Region::Record => Some(self.geometry),
            Region::App(slot) => (slot < self.slots).then_some(self.geometry),
            Region::Data(_) => None,
        }
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), ()> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4), "reads are of words");
        bytes.copy_from_slice(self.place(region, offset, bytes.len()).ok_or(())?);
        if region == Region::Record
            && let Some((_, instead)) = self.glitch.take_if(|(at, _)| *at == offset)
        {
            bytes.copy_from_slice(&instead);
        }
        Ok(())
    }
}

impl FlashMap for Plain {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), ()> {
        let unit = self.geometry.write_size as usize;
        assert!((offset as usize).is_multiple_of(unit) && bytes.len().is_multiple_of(unit));
        if region == Region::Record {
            self.programs.push((offset, bytes.len() as u32));
        }
        self.place(region, offset, bytes.len()).ok_or(())?.copy_from_slice(bytes);
        Ok(())
    }

    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), ()> {
        let Geometry { sector_size, erase_value, .. } = self.geometry;
        self.place(region, offset, sector_size as usize).ok_or(())?.fill(erase_value);
        Ok(())
    }
}
