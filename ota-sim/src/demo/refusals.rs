//! Bundles that are refused. Nothing is lost by any of them.

use std::net::TcpListener;

use anyhow::Result;
use ota_sim::app::Behaviour;
use serde_json::json;

use super::bench::Bench;
use super::{PLATFORM, firmware};

/// Five bad updates, one after the other.
pub(super) fn chapter(bench: &mut Bench) -> Result<()> {
    let whole = bench.firmware.bundle("9.9.9", Behaviour::Healthy, PLATFORM)?;

    bench.tell("A bundle with one wrong bit, of several million.");
    let mut corrupted = whole.clone();
    let middle = corrupted.len() / 2;
    corrupted[middle] ^= 0x10;
    refuse(bench, "corrupted.zip", corrupted, "Invalid CRC")?;

    bench.tell("A bundle of which the end is missing.");
    let part = whole.len() * 2 / 3;
    refuse(bench, "truncated.zip", whole[..part].to_vec(), "Incomplete update package")?;

    bench.tell("A bundle with an application that is one byte too large.");
    let room = bench.board.app_room() as usize;
    let large = firmware::pack(vec![0x5A; room + 1], "9.9.9", PLATFORM)?;
    refuse(bench, "too-large.zip", large, "Image too big")?;

    bench.tell("A bundle for another platform.");
    let other = bench.firmware.bundle("9.9.9", Behaviour::Healthy, "esp32")?;
    refuse(bench, "other-platform.zip", other, "Wrong platform")?;

    bench.tell("A URL at which nobody answers.");
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = format!("http://127.0.0.1:{port}/fw.zip");
    refuse_url(bench, &url, "Failed to connect")?;

    bench.tell("And there is nothing to revert to: slot 0 holds no whole image any more.");
    let before = bench.show_state()?;
    bench.refused("OTA.Revert", &json!({}), "no other bootable image")?;
    let after = bench.show_state()?;
    bench.check(before == after, "nothing has changed")
}

fn refuse(bench: &mut Bench, name: &str, bundle: Vec<u8>, words: &str) -> Result<()> {
    let url = bench.serve(name, bundle);
    refuse_url(bench, &url, words)
}

fn refuse_url(bench: &mut Bench, url: &str, words: &str) -> Result<()> {
    let before = bench.show_state()?;
    bench.refused("OTA.Update", &json!({ "url": url, "commit_timeout": 300 }), words)?;
    let after = bench.show_state()?;
    bench.check(before == after, "the running image and the boot state are unchanged")
}
