//! `ota-sim call`: one RPC, as `mos call` makes it.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use ota_sim::host::client::CallError;
use serde_json::Value;

use super::remote;

#[derive(Args)]
#[command(after_help = examples())]
pub(crate) struct Options {
    #[command(flatten)]
    remote: remote::Options,
    /// Method, such as OTA.GetBootState; RPC.List names them all
    method: String,
    /// Its arguments
    #[arg(value_name = "JSON")]
    arguments: Option<String>,
}

fn examples() -> String {
    format!(
        "{}\nExample: ota-sim call --port http://127.0.0.1:8080 --timeout 10m OTA.Update \
         '{{\"url\": \"http://127.0.0.1:8000/fw.zip\", \"commit_timeout\": 300}}'",
        remote::PORTS
    )
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
    let result = options.remote.client()?.call(&options.method, arguments.as_ref())?;
    super::print(super::harmless(&format!("{result:#}")))
}
