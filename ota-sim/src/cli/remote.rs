//! The device that `call` and `push` talk to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use ota_sim::host::client::{self, Client, Credentials};

#[derive(Args)]
#[group(id = "remote")]
pub(crate) struct Options {
    /// Where the device is: http://HOST:PORT (the path is /rpc unless given), ws://HOST:PORT,
    /// tcp://HOST:PORT, udp://HOST:PORT, mqtt://[USER:PASSWORD@]BROKER[:PORT]/DEVICE, or a serial
    /// port such as /dev/ttyUSB0; https, wss and mqtts for TLS
    #[arg(long, value_name = "URL")]
    port: String,
    /// How long to wait for a reply
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::duration)]
    timeout: Duration,
    /// User and password, for devices that ask; @FILE: in the first line of a file, so that they
    /// are in no list of processes
    #[arg(long, value_name = "USER:PASSWORD")]
    creds: Option<String>,
    /// The only algorithm to answer challenges with
    #[arg(long, value_name = "ALGORITHM")]
    auth_algo: Option<Algo>,
    /// Who vouches for a server with TLS, PEM; without it the authorities that browsers trust
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Send to a serial port 16 bytes each 5 ms, for devices that lose what comes faster
    #[arg(long)]
    uart_pace: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Algo {
    #[value(name = "sha-256", alias = "sha256")]
    Sha256,
    /// Either
    Any,
}

impl Options {
    /// A client of the device.
    pub(crate) fn client(&self) -> Result<Client> {
        let credentials = self.creds.as_deref().map(|text| self.credentials(text)).transpose()?;
        let options = client::Options {
            timeout: self.timeout,
            credentials,
            authorities: self.ca.clone(),
            uart_pace: self.uart_pace,
        };
        Ok(Client::new(&self.port, options)?)
    }

    fn credentials(&self, text: &str) -> Result<Credentials> {
        let line = match text.strip_prefix('@') {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("--creds {text}: cannot read the file"))?;
                text.lines().next().unwrap_or_default().to_owned()
            }
            None => text.to_owned(),
        };
        let (user, password) =
            line.split_once(':').context("--creds: give USER:PASSWORD, or @FILE with it inside")?;
        let only_sha256 = self.auth_algo == Some(Algo::Sha256);
        Ok(Credentials { user: user.to_owned(), password: password.to_owned(), only_sha256 })
    }
}

/// Examples for the help of a command.
pub(crate) const PORTS: &str = "--port is one of\n  \
    http://192.168.1.7, https://dev.example    ws://192.168.1.7, wss://dev.example\n  \
    tcp://192.168.1.7:5000                     udp://192.168.1.7:5000\n  \
    mqtt://broker/dev-1, mqtts://u:p@broker/dev-1    /dev/ttyUSB0";
