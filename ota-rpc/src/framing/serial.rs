//! Frames on a serial line (115200 8N1 with `mos`), and on TCP, which has the same delimiters.
//!
//! ```text
//! \n """ {"src":"mos","id":1,"method":"OTA.GetBootState"} 813f4392 """ \n
//!        |                                              | |
//!        a frame begins at the first {      CRC-32 of what is between, 8 hexadecimal digits;
//!        and ends at the last }             may be left out; `,` and anything may follow
//! ```
//! A newline and `"""` both end one piece of text and begin the next. A piece without a `{` is
//! junk, such as a boot loader's log. Three quotes in a row are in no JSON text, and neither is a
//! newline in what tools send, so a delimiter is never mistaken.
//!
//! | a piece | what comes of it |
//! |---|---|
//! | `{..}`, `{..}010a4ff9`, `{..}010a4ff9,a,b` | a frame |
//! | `{..}` and a wrong CRC, or anything else | dropped, silently |
//! | EOT (0x04) alone | [`HANDSHAKE`] is answered: `mos` sends nothing before it has seen that |
//! | nothing, between two newlines | [`EMPTY_LINE`] is answered |
//! | a byte from 0x80 on | what there was of the piece is dropped: text on the line is ASCII |
//!
//! [`XON`] and [`XOFF`] may come anywhere and are no part of any piece.
//!
//! # Invariants
//! * A frame is handed out only if its CRC is right or it has none; half a CRC is not none.
//! * Whatever comes, the next newline begins anew: junk costs at most the line that it is on.
//! * How bytes are split into calls makes no difference.

mod envelope;
mod receiver;
#[cfg(test)]
mod tests;
mod trailer;

pub use envelope::Envelope;
pub use receiver::{Received, Receiver};
pub use trailer::Dropped;

/// Go on sending.
pub const XON: u8 = 0x11;
/// Stop sending.
pub const XOFF: u8 = 0x13;

/// The answer to a handshake. `mos` sends the same and two newlines, every 200 ms until it is
/// answered.
pub const HANDSHAKE: &[u8] = b"\"\"\"\x04\"\"\"";

/// The answer to an empty line: somebody lives here.
pub const EMPTY_LINE: &[u8] = b"\n";

/// In a handshake, the byte between the quotes.
const EOT: u8 = 0x04;
