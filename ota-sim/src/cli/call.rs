//! `ota-sim call`: one RPC, as `mos call` makes it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use ota_sim::host::client::{CallError, Client};
use serde_json::Value;

#[derive(Args)]
#[command(after_help = "Example: ota-sim call --port http://127.0.0.1:8080 \
    OTA.Update '{\"url\": \"http://127.0.0.1:8000/fw.zip\", \"commit_timeout\": 300}'")]
pub(crate) struct Options {
    /// Where the device is: http://HOST:PORT, the path is /rpc unless another is given
    #[arg(long, value_name = "URL")]
    port: String,
    /// How long to wait for the reply
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::duration)]
    timeout: Duration,
    /// Method, such as OTA.GetBootState; RPC.List names them all
    method: String,
    /// Its arguments
    #[arg(value_name = "JSON")]
    arguments: Option<String>,
}

/// Prints the result; or says on standard error why there is none, exit code 1.
pub(crate) fn run(options: &Options) -> ExitCode {
    match call(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match error.downcast_ref() {
                // Scripts look for these very words.
                Some(error @ CallError::Remote { .. }) => eprintln!("{error}"),
                _ => eprintln!("error: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn call(options: &Options) -> Result<()> {
    let arguments: Option<Value> = match &options.arguments {
        Some(text) => Some(serde_json::from_str(text).with_context(|| {
            format!("the arguments are not JSON: {text}; quote them, as in '{{\"url\": \"...\"}}'")
        })?),
        None => None,
    };
    let client = Client::new(&options.port, options.timeout)?;
    let result = client.call(&options.method, arguments.as_ref())?;
    super::print(format_args!("{result:#}"))
}
