//! The application, linked for slot 1.
#![no_std]
#![no_main]

microbit::program!(microbit::app::run);
