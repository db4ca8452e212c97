//! Fixed-offset access to byte records: total functions that the optimiser reduces to plain loads.

/// The byte at `at`, or 0 behind the end.
pub(crate) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The little-endian word at `at`, or 0 behind the end.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    array_at(bytes, at).map_or(0, u16::from_le_bytes)
}

/// The little-endian word at `at`, or 0 behind the end.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array_at(bytes, at).map_or(0, u32::from_le_bytes)
}

/// `N` bytes at `at`, unless the end comes before.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// Copies `value` to `at`; what would lie behind the end is dropped.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    let room = bytes.get_mut(at..).unwrap_or_default();
    let len = room.len().min(value.len());
    if let (Some(place), Some(value)) = (room.get_mut(..len), value.get(..len)) {
        place.copy_from_slice(value);
    }
}

/// The first `len` bytes, or all if there are fewer.
pub(crate) fn head(bytes: &[u8], len: usize) -> &[u8] {
    bytes.get(..len).unwrap_or(bytes)
}

/// Rounds `value` up to a multiple of `unit`, a power of two.
pub(crate) const fn round_up(value: u32, unit: u32) -> u32 {
    let mask = unit.wrapping_sub(1);
    value.wrapping_add(mask) & !mask
}

/// A length as a 32-bit number; lengths beyond that do not occur in flash.
#[expect(clippy::cast_possible_truncation, reason = "bounded in the line above the cast")]
pub(crate) const fn len32(len: usize) -> u32 {
    if len > 0x7FFF_FFFF {
        return 0x7FFF_FFFF;
    }
    len as u32
}

#[cfg(test)]
mod tests {
    use super::put;

    #[test]
    fn what_would_lie_behind_the_end_is_dropped() {
        for (at, expected) in [(0, [1, 2, 9, 9]), (3, [9, 9, 9, 1]), (4, [9; 4]), (5, [9; 4])] {
            let mut bytes = [9; 4];
            put(&mut bytes, at, &[1, 2]);
            assert_eq!(bytes, expected);
        }
    }
}
