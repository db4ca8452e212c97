//! The edits: each takes away one thing that the promise rests on.

/// One change of the engine that the campaign must notice.
pub(crate) struct Edit {
    /// For reports and for `cargo xtask sabotage NAME`.
    pub(crate) name: &'static str,
    /// Within the repository.
    pub(crate) file: &'static str,
    /// What is found and what stands there instead. What is found must occur exactly once in the
    /// file, or the edit is out of date.
    pub(crate) changes: &'static [(&'static str, &'static str)],
    /// What the sabotaged engine does wrong.
    pub(crate) why: &'static str,
}

const CELL: &str = "ota-core/src/record/cell.rs";
const LOG: &str = "ota-core/src/record/log.rs";
const BOOT: &str = "ota-core/src/boot/mod.rs";
const STAGE: &str = "ota-core/src/stage/mod.rs";

/// Every known way to break it.
pub(crate) const EDITS: &[Edit] = &[
    Edit {
        name: "crc-not-checked",
        file: CELL,
        changes: &[("if crc32(whole) != RESIDUE ||", "if (crc32(whole) != RESIDUE && false) ||")],
        why: "a torn body is taken for a record",
    },
    Edit {
        name: "newest-by-place",
        file: CELL,
        changes: &[(
            "scan.end = scan.end.max(position.wrapping_add(1));",
            "scan.end = position.wrapping_add(1);",
        )],
        why: "the cell read last is taken for the newest",
    },
    Edit {
        name: "erase-on-leaving",
        file: LOG,
        changes: &[(
            "return Ok(Next::Erase);",
            "let before = position.saturating_sub(shape.cells.get());
            self.offset = cell::cell_offset(flash, before);
            return Ok(Next::Erase);",
        )],
        why: "the sector of the record in force is erased when the log leaves it",
    },
    Edit {
        name: "blank-sector-trusted",
        file: LOG,
        changes: &[(
            "Phase::Start if offset.is_multiple_of(shape.sector_size) => {",
            "Phase::Start if offset.is_multiple_of(shape.sector_size)
                && cell::header(flash, position % shape.places) != cell::Header::Blank => {",
        )],
        why: "a sector that looks blank after a torn erase is used without an erase",
    },
    Edit {
        name: "cell-reprogrammed",
        file: LOG,
        changes: &[
            ("position: self.next,", "position: self.next.saturating_sub(1),"),
            ("self.len = len32(HEADER_LEN);", "self.len = 0;"),
        ],
        why: "a cell that is in use is programmed again",
    },
    Edit {
        name: "seal-not-awaited",
        file: LOG,
        changes: &[(
            "let len = cell::put_seal(&mut self.part);",
            "if offset < u32::MAX { return Ok(Next::Done); } let len = cell::put_seal(&mut self.part);",
        )],
        why: "an append is done before its seal is",
    },
    Edit {
        name: "no-heal",
        file: LOG,
        changes: &[(
            "newest.sealed && !self.claimed(newest)",
            "newest.position == newest.position",
        )],
        why: "what a cut append left is not outranked",
    },
    Edit {
        name: "no-second-copy",
        file: BOOT,
        changes: &[("if !settled || backed_up ||", "if !settled || backed_up || true ||")],
        why: "a settled record hangs on one cell",
    },
    Edit {
        name: "trial-not-counted",
        file: BOOT,
        changes: &[(
            "settle(flash, &mut log, &next).is_ok();",
            "(!next.committed() || settle(flash, &mut log, &next).is_ok());",
        )],
        why: "the trial is not in flash before the jump",
    },
    Edit {
        name: "marked-after-erase",
        file: STAGE,
        changes: &[(
            "            Phase::Mark => {",
            "            Phase::Mark if !self.marked => {
                self.marked = true;
                let (region, offset) = (Region::App(self.site.slot), self.site.app_room);
                Ok(Next::Want(Want::Erase { region, offset }))
            }
            Phase::Mark => {",
        )],
        why: "the slot is called bootable until after its first erase",
    },
    Edit {
        name: "blank-trusted",
        file: "ota-core/src/machine.rs",
        changes: &[("trusted: !self.record.entered(slot),", "trusted: slot < u8::MAX,")],
        why: "what looks blank or equal after an interrupted job is not erased",
    },
    Edit {
        name: "no-read-back",
        file: "ota-core/src/stage/finish.rs",
        changes: &[(
            "if digest.value() != expected {",
            "if digest.value() != expected && expected.len == 0 {",
        )],
        why: "the slot is called bootable before it was read back",
    },
    Edit {
        name: "read-error-fatal",
        file: LOG,
        changes: &[(
            "self.kinds = find(flash, POSITION_LIMIT, &mut self.newest);",
            "self.kinds = find(flash, POSITION_LIMIT, &mut self.newest);
            if self.kinds & cell::kind::UNREADABLE != 0 {
                self.newest = None;
                return true;
            }",
        )],
        why: "one unreadable cell makes the record unreadable",
    },
    Edit {
        name: "commit-before-boot",
        file: "ota-core/src/state.rs",
        changes: &[(
            "            booted(&next)?;
            commit(&mut next, security_counter);",
            "            commit(&mut next, security_counter);",
        )],
        why: "an image is confirmed that does not run yet",
    },
    Edit {
        name: "image-not-verified",
        file: "ota-core/src/boot/decide.rs",
        changes: &[(
            "Verdict::Unknown if facts.verify_always || !ordinary(record, slot) =>",
            "Verdict::Unknown if facts.verify_always && false =>",
        )],
        why: "an image is booted that was not verified",
    },
    Edit {
        name: "unsealed-held",
        file: LOG,
        changes: &[(
            "self.end = end;
            if cell.sealed {",
            "if cell.sealed {",
        )],
        why: "the last sealed record is erased for one that may be gone tomorrow",
    },
    Edit {
        name: "unproven-fallen-to",
        file: "ota-core/src/boot/decide.rs",
        changes: &[("(record.unproven(slot) && !may_try)", "(!record.bootable(slot) && !may_try)")],
        why: "an image that was never confirmed is booted as a good one",
    },
    Edit {
        name: "counter-raised-early",
        file: "ota-core/src/state.rs",
        changes: &[(
            "            next.set_revert(next.active());
            next.set_active(slot);",
            "            next.set_revert(next.active());
            next.set_security_counter(next.security_counter().max(1));
            next.set_active(slot);",
        )],
        why: "the way back is forbidden before the commit (mcuboot#2549)",
    },
];
