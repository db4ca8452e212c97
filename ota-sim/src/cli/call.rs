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
    super::print(json(&result))
}

/// JSON fit for a terminal: characters that would control it are escaped, as JSON does it.
fn json(value: &Value) -> String {
    let mut text = String::new();
    for c in format!("{value:#}").chars() {
        match c.is_control() && c != '\n' {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_do_not_control_the_terminal() {
        let value = serde_json::json!({ "a": "\u{1b}[2J\u{9b}2J\u{7f}" });
        assert_eq!(super::json(&value), "{\n  \"a\": \"\\u001b[2J\\u009b2J\\u007f\"\n}");
    }
}
