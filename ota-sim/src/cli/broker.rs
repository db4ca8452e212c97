//! Brokers as arguments.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};
use ota_sim::host::broker::{Broker, BrokerError};

/// Reads a broker. What is no broker is told without its password: the library's own words quote it.
#[derive(Clone)]
pub(crate) struct BrokerParser;

impl TypedValueParser for BrokerParser {
    type Value = Broker;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Broker, Error> {
        value.to_string_lossy().parse().map_err(|error: BrokerError| {
            let option = argument.and_then(Arg::get_long);
            let option = option.map(|option| format!("--{option} ")).unwrap_or_default();
            let message = format!("{option}{error}\n");
            Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}
