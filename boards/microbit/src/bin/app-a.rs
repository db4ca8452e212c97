//! The application, linked for slot 0.
#![no_std]
#![no_main]

microbit::program!(microbit::app::run);
