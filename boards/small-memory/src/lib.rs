//! `memcpy` and its like, a byte at a time.
//!
//! Those of the toolchain are made for speed: 1.9 kB for copies of a hundred bytes. They are weak
//! symbols, so a program that has `extern crate small_memory as _;` links these instead. Each is in a
//! section of its own: what a program does not call, it does not have.
//!
//! In assembler, because a compiler turns such a loop in Rust into a call of the function itself. For
//! ARMv7-M only; on other processors the crate is empty.
#![no_std]
#![cfg(target_arch = "arm")]

// The registers are those of the AAPCS: `memcpy(r0 to, r1 from, r2 length)`, result in r0, which is
// never changed; of `__aeabi_memset(r0 to, r1 length, r2 value)` the order is its own.
core::arch::global_asm!(
    ".macro function names:vararg",
    "  .irp name, \\names",
    "    .global \\name",
    "    .type \\name, %function",
    "    .thumb_func",
    "    \\name:",
    "  .endr",
    ".endm",
    // Backwards, so that the length is the only counter.
    ".section .text.memcpy, \"ax\", %progbits",
    "function memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8",
    "1: subs r2, #1",
    "bmi 2f",
    "ldrb r3, [r1, r2]",
    "strb r3, [r0, r2]",
    "b 1b",
    "2: bx lr",
    // memclr falls through into memset.
    ".section .text.memset, \"ax\", %progbits",
    "function __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8",
    "movs r2, #0",
    "function __aeabi_memset, __aeabi_memset4, __aeabi_memset8",
    "1: subs r1, #1",
    "bmi 2f",
    "strb r2, [r0, r1]",
    "b 1b",
    "2: bx lr",
    ".section .text.memset_c, \"ax\", %progbits",
    "function memset",
    "mov r3, r1",
    "mov r1, r2",
    "mov r2, r3",
    "b __aeabi_memset",
    // Equal: r2 counts down to 0, which is the result. Else: the difference of the first pair.
    ".section .text.memcmp, \"ax\", %progbits",
    "function memcmp, bcmp",
    "push {{r4}}",
    "1: subs r2, #1",
    "itt mi",
    "movmi r2, #0",
    "bmi 2f",
    "ldrb r3, [r0], #1",
    "ldrb r4, [r1], #1",
    "cmp r3, r4",
    "beq 1b",
    "subs r2, r3, r4",
    "2: mov r0, r2",
    "pop {{r4}}",
    "bx lr",
    ".purgem function",
    ".text",
);
