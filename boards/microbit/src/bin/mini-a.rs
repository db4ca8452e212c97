//! The small application, linked for slot 0.
#![no_std]
#![no_main]

microbit::program!(microbit::mini::run);
