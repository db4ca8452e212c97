//! What QEMU lacks for power cuts, put under it with `LD_PRELOAD`.
//!
//! * **Flash behind a drive** (`FLASH_FILE`): every write to that file is appended to `FLASH_LOG`,
//!   in the order in which they are done, and when they are: offset and length as little-endian
//!   64-bit numbers, then the bytes. QEMU lends memory that the board goes on changing; firmware for
//!   tests does so only when a write is in the log. With `FLASH_CUT_AT=N` and
//!   `FLASH_CUT_WITH=FILE`, write N (from 0) is replaced by the bytes of that file, at its offset,
//!   and the process is killed: the supply fails in the midst of a write. QEMU must write one after the other (`-object main-loop,id=main-loop,
//!   thread-pool-max=1`).
//! * **Flash inside a processor** (`FLASH_MAPPED`): QEMU has that in anonymous memory. The one mapping
//!   of exactly the file's size at a fixed address becomes a mapping of the file, so that what the
//!   guest stores is in the file at once and outlives the process.
//!
//! Linux only: it replaces `pwrite64`, `mmap` and `mmap64`.
#![cfg(target_os = "linux")]

use std::env;
use std::ffi::{CStr, c_int, c_void};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::mem::transmute;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use libc::{off64_t, size_t, ssize_t};

type PWrite = unsafe extern "C" fn(c_int, *const c_void, size_t, off64_t) -> ssize_t;
type MMap = unsafe extern "C" fn(*mut c_void, size_t, c_int, c_int, c_int, off64_t) -> *mut c_void;

/// The drive's file and what is done with its writes.
struct Drive {
    device: u64,
    inode: u64,
    writes: Mutex<Writes>,
    cut: Option<(u64, Vec<u8>)>,
}

struct Writes {
    log: File,
    count: u64,
}

impl Drive {
    fn of_environment() -> Option<Self> {
        let file = env::var_os("FLASH_FILE")?;
        let file = must(file.to_str(), std::fs::metadata(&file));
        let log = env::var_os("FLASH_LOG").unwrap_or_else(|| "/dev/null".into());
        let log = must(log.to_str(), OpenOptions::new().append(true).create(true).open(&log));
        let cut = env::var("FLASH_CUT_AT").ok().map(|at| {
            let with = env::var_os("FLASH_CUT_WITH").unwrap_or_default();
            let at = must(Some("FLASH_CUT_AT"), at.parse());
            (at, must(with.to_str(), std::fs::read(&with)))
        });
        let writes = Mutex::new(Writes { log, count: 0 });
        Some(Self { device: file.dev(), inode: file.ino(), writes, cut })
    }

    fn is_behind(&self, fd: c_int) -> bool {
        // SAFETY: zeros are a `stat`, which the call fills; a wrong descriptor is an error.
        let (result, stat) = unsafe {
            let mut stat: libc::stat64 = std::mem::zeroed();
            (libc::fstat64(fd, &raw mut stat), stat)
        };
        result == 0 && (stat.st_dev, stat.st_ino) == (self.device, self.inode)
    }
}

/// A test that cannot be run as told is not run at all.
fn must<T, E: std::fmt::Display>(what: Option<&str>, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("flash-file: {}: {error}", what.unwrap_or("a name that is no text"));
        std::process::exit(70)
    })
}

/// The C library's own function.
fn next(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with 0; the answer is only ever called as what it is.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

/// `pwrite64` of the C library, with the writes to the flash file logged, and cut.
///
/// # Safety
/// As the function that it replaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    fd: c_int,
    bytes: *const c_void,
    length: size_t,
    offset: off64_t,
) -> ssize_t {
    static DRIVE: OnceLock<Option<Drive>> = OnceLock::new();
    // SAFETY: that is its type.
    let real: PWrite = unsafe { transmute(next(c"pwrite64")) };
    let drive = DRIVE.get_or_init(Drive::of_environment);
    let Some(drive) = drive.as_ref().filter(|drive| drive.is_behind(fd)) else {
        // SAFETY: handed on as it came.
        return unsafe { real(fd, bytes, length, offset) };
    };
    let Ok(mut writes) = drive.writes.lock() else { std::process::abort() };
    if let Some((_, with)) = drive.cut.as_ref().filter(|(at, _)| *at == writes.count) {
        // SAFETY: the bytes are alive, and killing this process is what is asked for.
        unsafe {
            real(fd, with.as_ptr().cast(), with.len(), offset);
            libc::kill(libc::getpid(), libc::SIGKILL);
        }
    }
    writes.count += 1;
    // SAFETY: handed on as it came.
    let written = unsafe { real(fd, bytes, length, offset) };
    // SAFETY: the caller lends so many bytes. The program in the board leaves them as they are until
    // they are in the log.
    let lent = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    let head = [offset as u64, length as u64].map(u64::to_le_bytes).concat();
    must(Some("FLASH_LOG"), writes.log.write_all(&[&head, lent].concat()));
    written
}

/// `mmap` of the C library, with the flash's memory in a file.
///
/// # Safety
/// As the function that it replaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: off64_t,
) -> *mut c_void {
    static IS_MAPPED: AtomicBool = AtomicBool::new(false);
    // SAFETY: that is its type.
    let real: MMap = unsafe { transmute(next(c"mmap64")) };
    let is_flash = fd == -1 && flags & libc::MAP_FIXED != 0;
    if let Some(file) = is_flash.then(|| flash_of_length(length)).flatten()
        && !IS_MAPPED.swap(true, Ordering::Relaxed)
    {
        let flags = flags & !(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: where the caller wants memory of this length, with the file's bytes; the
        // descriptor may be closed afterwards.
        return unsafe {
            real(address, length, protection, flags | libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
    }
    // SAFETY: handed on as it came.
    unsafe { real(address, length, protection, flags, fd, offset) }
}

/// `mmap` by its other name.
///
/// # Safety
/// As the function that it replaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: off64_t,
) -> *mut c_void {
    // SAFETY: handed on as it came.
    unsafe { mmap(address, length, protection, flags, fd, offset) }
}

fn flash_of_length(length: size_t) -> Option<File> {
    let path = env::var_os("FLASH_MAPPED")?;
    let file = OpenOptions::new().read(true).write(true).open(&path);
    let file = must(path.to_str(), file);
    let is_whole = must(path.to_str(), file.metadata()).len() == length as u64;
    is_whole.then_some(file)
}
