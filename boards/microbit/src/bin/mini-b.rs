//! The small application, linked for slot 1.
#![no_std]
#![no_main]

microbit::program!(microbit::mini::run);
