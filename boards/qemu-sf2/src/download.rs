//! Downloads for `OTA.Update`: from a TCP connection to the engine, a piece at each step.
//!
//! The engine takes what comes in the time of a step, so the window of TCP is the only buffer: while
//! flash is busy, the server waits.

mod fetch;

use core::net::Ipv4Addr;

use ota_core::json::Text;
use ota_rpc::service::SourceError;
use ota_rpc::{Ota, Platform, Service};

use crate::device::Source;
use crate::http::Failure;
use crate::log::log;
use crate::network::{MAC, Network};
use fetch::{End, Fetch};

/// Downloads over the network.
pub struct Downloads {
    network: Network,
    fetch: Option<Fetch>,
}

impl Downloads {
    /// None yet.
    pub fn new(network: Network) -> Self {
        Self { network, fetch: None }
    }

    fn end(&mut self) {
        if let Some(fetch) = self.fetch.take() {
            fetch.end(&mut self.network);
        }
    }
}

impl Source for Downloads {
    fn start(&mut self, url: Text<'_>, now_ms: u64) {
        self.stop();
        self.fetch = Some(Fetch::new(url, now_ms));
    }

    fn stop(&mut self) {
        self.end();
        self.network.tcp().abort();
    }

    fn step<O: Ota, P: Platform>(
        &mut self,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> bool {
        self.network.poll(now_ms);
        let Some(fetch) = &mut self.fetch else { return false };
        match fetch.step(&mut self.network, service, ota, now_ms) {
            // More may have come than was taken.
            Ok(()) => return self.network.tcp().can_recv(),
            Err(End::Complete) => {
                self.end();
                self.network.tcp().close();
                service.end_feed(Ok(()), ota);
            }
            Err(End::Refused) => self.stop(),
            Err(End::Failed(Failure { code, message })) => {
                log!("download: {=str}", message);
                self.stop();
                service.end_feed(Err(SourceError { code, message: &message }), ota);
            }
        }
        true
    }

    fn address(&self) -> Option<Ipv4Addr> {
        self.network.address()
    }

    fn mac(&self) -> Option<&'static str> {
        Some(MAC)
    }
}
