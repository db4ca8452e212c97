//! Mutating operations on the model: checks, the whole effect, the torn effect.

use std::ops::Range;

use super::cell::{Cell, Tearing, UnitBytes};
use super::tear::Fate;
use super::weak::WeakSet;
use super::{Bad, MAX_WRITE_SIZE, Nor, NorError, PendingOp, Tear, Weak};

impl Nor {
    /// Whether `op` would be refused. Nothing is changed or counted.
    ///
    /// # Errors
    /// What [`Nor::perform`] would return for it, faults inside the operation excepted.
    pub fn check(&self, op: &PendingOp<'_>) -> Result<(), NorError> {
        self.alive()?;
        let shape = &self.part.shape;
        match *op {
            PendingOp::Erase { address } => {
                let (len, unit) = (shape.sector_size as usize, shape.sector_size);
                if !address.is_multiple_of(unit) {
                    return Err(NorError::Unaligned { address, len, unit });
                }
                shape.bounds(address, len).map(|_| ()).ok_or(NorError::OutOfBounds { address, len })
            }
            PendingOp::Program { address, bytes } => {
                let (len, unit) = (bytes.len(), shape.write_size);
                let Some(range) = shape.bounds(address, len) else {
                    return Err(NorError::OutOfBounds { address, len });
                };
                if !address.is_multiple_of(unit) || !len.is_multiple_of(unit as usize) {
                    return Err(NorError::Unaligned { address, len, unit });
                }
                let page = shape.page_size;
                if range.is_empty() || range.start / page != (range.end - 1) / page {
                    return Err(NorError::NotOnePage { address, len });
                }
                self.check_rule(&shape.units_around(&range), bytes)
            }
        }
    }

    /// Performs one physical operation.
    ///
    /// # Errors
    /// [`NorError::PoweredOff`] if power was cut inside it; [`NorError::Failed`] in a bad sector.
    /// Otherwise it was refused and changed nothing: see [`NorError`].
    pub fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        self.check(op)?;
        if let Some((at, tear)) = self.faults.cut
            && at == self.ops
        {
            self.faults.cut = None;
            self.tear(op, tear);
            self.powered = false;
            return Err(NorError::PoweredOff);
        }
        self.count(op);
        let sector = self.part.shape.sector_around(op.address()).start;
        match self.faults.bad_sector(sector) {
            None => {
                self.apply_runs(op, Tear::Whole);
                Ok(())
            }
            Some(Bad::Refuses) => Err(NorError::Failed { address: op.address() }),
            Some(Bad::Garbles { seed }) => {
                self.apply_runs(op, Tear::Bits { percent: 50, seed });
                Err(NorError::Failed { address: op.address() })
            }
            Some(Bad::Lies { seed }) => {
                self.apply_runs(op, Tear::Bits { percent: 50, seed });
                Ok(())
            }
        }
    }

    /// Cuts power inside `op`: leaves it as `tear` says and switches power off. Meant for a clone,
    /// from an [`super::Observer`].
    ///
    /// Returns the [`Nor::state_hash`] of the operation's range. Tears that return the same hash
    /// left the same flash and count as one point; `none` returns that of the untouched range.
    ///
    /// # Errors
    /// As [`Nor::check`]; then nothing happened.
    pub fn apply_torn(&mut self, op: &PendingOp<'_>, tear: Tear) -> Result<u64, NorError> {
        self.check(op)?;
        self.tear(op, tear);
        self.powered = false;
        Ok(self.state_hash(op.range(&self.part.shape)))
    }

    fn tear(&mut self, op: &PendingOp<'_>, tear: Tear) {
        match tear {
            // The number is used up all the same, so that a later cut means the same operation.
            Tear::None => self.ops += 1,
            _ => {
                self.count(op);
                self.apply_runs(op, tear);
            }
        }
    }

    /// Counts an operation that is begun.
    fn count(&mut self, op: &PendingOp<'_>) {
        let (shape, timings) = (&self.part.shape, &self.part.timings);
        self.ops += 1;
        match op {
            PendingOp::Erase { address } => {
                self.counters.erases += 1;
                self.counters.time_ns += timings.erase_ns;
                self.wear[(address / shape.sector_size) as usize] += 1;
            }
            PendingOp::Program { bytes, .. } => {
                let units = shape.units_around(&op.range(shape));
                let unit_count = u64::from(units.end - units.start);
                self.counters.programs += 1;
                self.counters.programmed_bytes += bytes.len() as u64;
                self.counters.reprogrammed_units += u64::from(self.programmed.count_in(&units));
                self.counters.time_ns +=
                    timings.program_op_ns + timings.program_unit_ns * unit_count;
            }
        }
        if let Some(log) = &mut self.log {
            log.push(op.record(shape));
        }
    }

    fn apply_runs(&mut self, op: &PendingOp<'_>, tear: Tear) {
        let tear = match self.weak_mode {
            Weak::Off => tear.without_weakness(),
            Weak::PerBoot | Weak::PerRead => tear,
        };
        let shape = self.part.shape;
        let units = shape.units_around(&op.range(&shape));
        if tear == Tear::Whole {
            // The common case, without asking for the fate of each unit.
            return self.complete(&units, op.bytes());
        }
        for (run, fate) in tear.runs(op.kind(), units.end - units.start) {
            let units = units.start + run.start..units.start + run.end;
            let bytes = op.bytes().map(|bytes| &bytes[shape.bytes_of(&run)]);
            match fate {
                Fate::Untouched => {}
                Fate::Done => self.complete(&units, bytes),
                Fate::Torn => self.tear_units(&units, bytes, tear),
            }
        }
    }

    /// Programs `units` with `bytes`, or erases them if there are none.
    fn complete(&mut self, units: &Range<u32>, bytes: Option<&[u8]>) {
        let shape = self.part.shape;
        self.count_units(units, bytes.is_some());
        let Some(bytes) = bytes else {
            self.data[shape.bytes_of(units)].fill(shape.erase_value);
            self.programmed.remove(units);
            self.dead.remove(units);
            self.weak.remove(units);
            return;
        };
        let simple = self.weak.places(units).is_empty()
            && (!self.part.ecc || self.programmed.count_in(units) == 0);
        if simple {
            let data = self.data[shape.bytes_of(units)].iter_mut();
            match shape.erase_value {
                0xFF => data.zip(bytes).for_each(|(old, byte)| *old &= byte),
                _ => data.zip(bytes).for_each(|(old, byte)| *old |= byte),
            }
            self.programmed.insert(units);
            return;
        }
        let physics = self.physics();
        let chunks = bytes.chunks_exact(shape.write_size as usize);
        self.each_cell(units, chunks, |cell, bytes| cell.program(bytes, physics));
    }

    /// Cuts the operation inside each of `units`.
    fn tear_units(&mut self, units: &Range<u32>, bytes: Option<&[u8]>, tear: Tear) {
        if let Some(bytes) = bytes {
            self.count_units(units, true);
            self.tear_program(units, bytes, tear);
        } else {
            self.tear_erase(units, tear);
        }
    }

    fn tear_program(&mut self, units: &Range<u32>, bytes: &[u8], tear: Tear) {
        let shape = self.part.shape;
        let how = Tearing { physics: self.physics(), settled: tear.settled() };
        let mut draw = tear.draw(units.start * shape.write_size);
        let chunks = bytes.chunks_exact(shape.write_size as usize);
        self.each_cell(units, chunks, |cell, bytes| cell.program_torn(bytes, &mut draw, how));
    }

    fn tear_erase(&mut self, units: &Range<u32>, tear: Tear) {
        let shape = self.part.shape;
        let how = Tearing { physics: self.physics(), settled: tear.settled() };
        let mut draw = tear.draw(units.start * shape.write_size);
        let no_bytes = std::iter::repeat(&[][..]);
        self.each_cell(units, no_bytes, |cell, _| match tear {
            Tear::Zeros => cell.preprogram(how),
            _ => cell.erase_torn(&mut draw, how),
        });
    }

    /// Lets `change` work on each of `units` as a cell, with its share of `chunks`, normalised.
    fn each_cell<'a>(
        &mut self,
        units: &Range<u32>,
        chunks: impl Iterator<Item = &'a [u8]>,
        mut change: impl FnMut(&mut Cell, &[u8]),
    ) {
        let flip = self.part.shape.flip();
        let mut torn = WeakSet::new(self.part.shape.write_size as usize);
        for (unit, chunk) in units.clone().zip(chunks) {
            let mut cell = self.load_cell(unit);
            let bytes = flipped(chunk, flip);
            change(&mut cell, &bytes[..chunk.len()]);
            self.store_cell(unit, &cell);
            if let Some(between) = &cell.torn {
                torn.push(unit, between);
            }
        }
        self.weak.replace(units, torn);
    }

    fn load_cell(&self, unit: u32) -> Cell {
        let shape = &self.part.shape;
        Cell {
            len: shape.write_size as usize,
            visible: flipped(&self.data[shape.bytes_of(&(unit..unit + 1))], shape.flip()),
            torn: self.weak.torn(unit),
            programmed: self.programmed.contains(unit),
            dead: self.dead.contains(unit),
        }
    }

    /// Puts back all of a cell but its weak bits.
    fn store_cell(&mut self, unit: u32, cell: &Cell) {
        let shape = self.part.shape;
        let bytes = flipped(&cell.visible[..cell.len], shape.flip());
        self.data[shape.bytes_of(&(unit..unit + 1))].copy_from_slice(&bytes[..cell.len]);
        self.programmed.set(unit, cell.programmed);
        self.dead.set(unit, cell.dead);
    }

    /// Counts one program of each of `units`, or starts over after their erase.
    fn count_units(&mut self, units: &Range<u32>, is_program: bool) {
        if self.unit_programs.is_empty() {
            return;
        }
        for count in &mut self.unit_programs[units.start as usize..units.end as usize] {
            *count = if is_program { count.saturating_add(1) } else { 0 };
        }
    }
}

/// `bytes` with every bit flipped that `flip` says, in a buffer of a unit's largest size.
fn flipped(bytes: &[u8], flip: u8) -> UnitBytes {
    let mut unit = [0; MAX_WRITE_SIZE as usize];
    for (to, from) in unit.iter_mut().zip(bytes) {
        *to = from ^ flip;
    }
    unit
}
