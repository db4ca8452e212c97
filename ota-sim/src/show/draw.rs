//! The drawing.

use std::fmt;

use super::{CellReport, DescriptorReport, Fields, FlashReport, LogReport, NextBoot, SlotReport};

/// Characters of the bar that shows how full a slot is.
const BAR: u32 = 24;

/// `{:#}` draws every cell of the log.
impl fmt::Display for FlashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { board, capacity, sector_size, write_size, log, .. } = self;
        writeln!(
            f,
            "board {board}: {} of flash, sectors of {}, write units of {write_size} bytes\n",
            size(*capacity),
            size(*sector_size)
        )?;
        let LogReport { address, size: length, sectors, cells, .. } = log;
        writeln!(f, "{address:#08x}  record    {}, {sectors} sectors", size(*length))?;
        for slot in &self.slots {
            slot.fmt(f)?;
        }
        writeln!(f, "\nrecord log, {cells} cells in each sector: address, position, what it says")?;
        log.fmt(f)?;
        write!(f, "\n{}", self.next_boot)
    }
}

impl fmt::Display for SlotReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, app, data, .. } = self;
        writeln!(f, "{:#08x}  slot {slot}    {}", app.address, self.role())?;
        let app_len = self.descriptor.as_ref().map_or(0, |found| found.app_len);
        let image = &self.image;
        writeln!(f, "{:10}app       {}  {image}", "", fill(app_len, app.room))?;
        if let Some(descriptor) = &self.descriptor {
            descriptor.fmt(f)?;
        }
        if let Some(data) = data {
            let found = self.descriptor.as_ref();
            let (length, words) = match found.and_then(|found| found.data_matches) {
                None => (0, "none"),
                Some(true) => (found.map_or(0, |found| found.data_len), "as installed"),
                Some(false) => (found.map_or(0, |found| found.data_len), "changed since"),
            };
            writeln!(f, "{:#08x}  data      {}  {words}", data.address, fill(length, data.room))?;
        }
        Ok(())
    }
}

impl SlotReport {
    /// What the record makes of it.
    fn role(&self) -> String {
        let Some(state) = self.state else { return "no record".to_owned() };
        let roles = [
            (self.is_active, "active"),
            (self.is_booted, "running"),
            (self.is_revert && !self.is_active, "to roll back to"),
        ];
        let words = roles.into_iter().filter(|(is, _)| *is).map(|(_, word)| word);
        std::iter::once(state).chain(words).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for DescriptorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, version, build_id, platform, app_crc, crc, .. } = self;
        write!(f, "{address:#08x}  descr.    {version} ({build_id}) for {platform}")?;
        if self.security_counter > 0 {
            write!(f, ", security counter {}", self.security_counter)?;
        }
        if self.load_address != 0 {
            write!(f, ", linked for {:#x}", self.load_address)?;
        }
        if let Some(slots) = &self.bound_to {
            write!(f, ", only for slots {slots:?}")?;
        }
        write!(f, "\n{:20}app CRC-32 {app_crc}, descriptor CRC-32 {crc}", "")?;
        match self.named_by_record {
            Some(true) | None => writeln!(f),
            Some(false) => writeln!(f, ", not the one that the record names"),
        }
    }
}

/// `{:#}` draws every cell; `{}` only the last of several that differ in how far a job had come.
impl fmt::Display for LogReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.used.is_empty() {
            writeln!(f, "  blank: never booted")?;
        }
        for sector in 0..self.sectors {
            let used: Vec<&CellReport> =
                self.used.iter().filter(|cell| cell.sector == sector).collect();
            let mut left_out = 0;
            for (index, cell) in used.iter().enumerate() {
                let next = used.get(index + 1);
                if !f.alternate() && next.is_some_and(|next| cell.differs_in_progress_only(next)) {
                    left_out += 1;
                    continue;
                }
                cell.draw(f, self.in_force, std::mem::take(&mut left_out))?;
            }
            let blank = self.cells as usize - used.len();
            let words = if blank == 1 { "blank cell" } else { "blank cells" };
            writeln!(f, "  sector {sector}: {blank} {words}")?;
        }
        Ok(())
    }
}

impl CellReport {
    /// Whether `next` is the next checkpoint of the job that this one is of.
    fn differs_in_progress_only(&self, next: &Self) -> bool {
        let without_progress =
            |cell: &Self| cell.fields.clone().map(|fields| Fields { checkpoint: 0, ..fields });
        let is_staging = self.fields.as_ref().is_some_and(|fields| fields.staging_slot.is_some());
        is_staging && self.state == next.state && without_progress(self) == without_progress(next)
    }

    /// A line; `left_out` cells before it were not drawn.
    fn draw(
        &self,
        f: &mut fmt::Formatter<'_>,
        in_force: Option<u32>,
        left_out: usize,
    ) -> fmt::Result {
        match left_out {
            0 => {}
            1 => writeln!(f, "            ...  1 earlier checkpoint")?,
            _ => writeln!(f, "            ...  {left_out} earlier checkpoints")?,
        }
        let position = self.position.map_or_else(|| "?".to_owned(), |at| at.to_string());
        let is_in_force = self.position.is_some() && self.position == in_force;
        let (arrow, note) = if is_in_force { (">", ", in force") } else { (" ", "") };
        let state = format!("{}{note}", self.state);
        write!(f, "{arrow} {:#08x}  {position:>5}  {state:<16}", self.address)?;
        match &self.fields {
            Some(fields) => writeln!(f, "  {fields}"),
            None => writeln!(f),
        }
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { active, revert, trials_left, trials_max, reason, .. } = self;
        write!(f, "active {active} ")?;
        match self.committed {
            true => f.write_str("committed")?,
            false => write!(f, "on trial, {trials_left} of {trials_max} left")?,
        }
        match self.booted {
            Some(booted) => write!(f, ", runs {booted}")?,
            None => f.write_str(", runs ?")?,
        }
        write!(f, ", back to {revert}")?;
        if self.commit_timeout_s > 0 {
            write!(f, ", {} s", self.commit_timeout_s)?;
        }
        write!(f, "; {reason}; slots {}", self.slots.join(", "))?;
        if let Some(slot) = self.staging_slot {
            write!(f, "; writes {slot}")?;
        }
        if self.checkpoint > 0 {
            write!(f, ", has {} bytes", self.checkpoint)?;
        }
        if self.security_counter > 0 {
            write!(f, "; counter {}", self.security_counter)?;
        }
        if self.note.bytes().any(|digit| digit != b'0') {
            write!(f, "; note {}", self.note)?;
        }
        Ok(())
    }
}

impl fmt::Display for NextBoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boots { slot, version, committed, reason } => {
                let trial = if *committed { "committed" } else { "on trial" };
                write!(f, "a boot now: slot {slot}, version {version}, {trial}; reason: {reason}")
            }
            Self::Recovers { reason } => write!(f, "a boot now: recovery, {reason}"),
        }
    }
}

/// `[######......]  120 KiB of 480 KiB`
fn fill(length: u32, room: u32) -> String {
    let share = u64::from(length) * u64::from(BAR);
    let full = share.div_ceil(u64::from(room.max(1))).min(u64::from(BAR)) as usize;
    let bar = format!("{}{}", "#".repeat(full), ".".repeat(BAR as usize - full));
    format!("[{bar}]  {} of {}", size(length), size(room))
}

/// A number of bytes for people: whole units where they say it all.
fn size(bytes: u32) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        _ if bytes.is_multiple_of(1024) => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} KiB", f64::from(bytes) / 1024.0),
    }
}
