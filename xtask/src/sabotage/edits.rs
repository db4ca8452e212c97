//! The edits: each takes away one thing that the promise rests on.

/// One change of the engine that the campaign must notice.
pub(crate) struct Edit {
    /// For reports and for `cargo xtask sabotage NAME`.
    pub(crate) name: &'static str,
    /// Within the repository.
    pub(crate) file: &'static str,
    /// Must occur exactly once in the file, or the edit is out of date.
    pub(crate) find: &'static str,
    /// What stands there instead.
    pub(crate) replace: &'static str,
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
        find: "|| crc.value() != stored",
        replace: "|| (crc.value() != stored && false)",
        why: "a torn body is taken for a record",
    },
    Edit {
        name: "newest-by-place",
        file: LOG,
        find: "Some(newest) if position < newest.position =>",
        replace: "Some(newest) if position == newest.position =>",
        why: "the cell read last is taken for the newest",
    },
    Edit {
        name: "erase-on-leaving",
        file: LOG,
        find: "let offset = self.shape.sector_offset(position);",
        replace: "let offset = self.shape.sector_offset(position.saturating_sub(1));",
        why: "the sector of the record in force is erased when the log leaves it",
    },
    Edit {
        name: "blank-sector-trusted",
        file: LOG,
        find: "if self.target.erase {",
        replace: "if self.target.erase && !self.blank(flash) {",
        why: "a sector that looks blank after a torn erase is used without an erase",
    },
    Edit {
        name: "cell-reprogrammed",
        file: LOG,
        find: "Ok(Target { position: last, erase: false }.next(shape), current)",
        replace: "Ok(Target { position: newest.position, erase: false }.next(shape), current)",
        why: "a cell that a cut append has begun is programmed again",
    },
    Edit {
        name: "seal-not-awaited",
        file: LOG,
        find: "newest.sealed && self.claimed.is_none()",
        replace: "self.claimed.is_none()",
        why: "a body that was never sealed is acted on",
    },
    Edit {
        name: "no-heal",
        file: LOG,
        find: "newest.sealed && self.claimed.is_none()",
        replace: "newest.position == newest.position",
        why: "what a cut append left is not outranked",
    },
    Edit {
        name: "no-second-copy",
        file: BOOT,
        find: "(!settled || newest.is_some_and(|newest| newest.backed_up))",
        replace: "(!settled || newest.is_some())",
        why: "a settled record hangs on one cell",
    },
    Edit {
        name: "trial-not-counted",
        file: BOOT,
        find: "settle(flash, &mut log, &next).is_ok();",
        replace: "(!next.committed() || settle(flash, &mut log, &next).is_ok());",
        why: "the trial is not in flash before the jump",
    },
    Edit {
        name: "marked-after-erase",
        file: STAGE,
        find: "            Phase::Mark => {",
        replace: "            Phase::Mark if !self.marked => {
                self.marked = true;
                let (region, offset) = (Region::App(self.site.slot), self.site.app_room);
                Ok(Next::Want(Want::Erase { region, offset }))
            }
            Phase::Mark => {",
        why: "the slot is called bootable until after its first erase",
    },
    Edit {
        name: "blank-trusted",
        file: "ota-core/src/machine.rs",
        find: "trusted: !interrupted,",
        replace: "trusted: interrupted || !interrupted,",
        why: "what looks blank or equal after an interrupted job is not erased",
    },
    Edit {
        name: "no-read-back",
        file: "ota-core/src/stage/finish.rs",
        find: "if digest.value() != expected {",
        replace: "if digest.value() != expected && expected.len == 0 {",
        why: "the slot is called bootable before it was read back",
    },
    Edit {
        name: "read-error-fatal",
        file: LOG,
        find: "log.unreadable &= header == Header::Unreadable;",
        replace: "log.unreadable &= header == Header::Unreadable;
            if header == Header::Unreadable {
                log.newest = None;
            }",
        why: "one unreadable cell makes the record unreadable",
    },
    Edit {
        name: "commit-before-boot",
        file: "ota-core/src/state.rs",
        find: "            booted(&next)?;
            commit(&mut next, security_counter);",
        replace: "            commit(&mut next, security_counter);",
        why: "an image is confirmed that does not run yet",
    },
    Edit {
        name: "image-not-verified",
        file: "ota-core/src/boot/decide.rs",
        find: "Verdict::Unknown if facts.verify_always || !ordinary(record, slot) =>",
        replace: "Verdict::Unknown if facts.verify_always && false =>",
        why: "an image is booted that was not verified",
    },
    Edit {
        name: "counter-raised-early",
        file: "ota-core/src/state.rs",
        find: "            next.set_revert(next.active());
            next.set_active(slot);",
        replace: "            next.set_revert(next.active());
            next.set_security_counter(next.security_counter().max(1));
            next.set_active(slot);",
        why: "the way back is forbidden before the commit (mcuboot#2549)",
    },
];
