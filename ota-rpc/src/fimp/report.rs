//! The values of reports.

use super::envelope::{Envelope, ValueType, spread};
use super::note::{Stage, Update};
use super::progress::Report;
use super::{Config, Fimp, Outcome, Phase, Revision};
use crate::platform::Info;
use crate::writer::Writer;

/// Which of an update's two reports an id is of.
const START: u32 = 1;
const END: u32 = 2;

/// `evt.ota_start.report`: the same each time.
pub(super) fn start(update: Option<&Update>, envelope: Envelope<'_>, out: &mut Writer<'_>) {
    let Some(update) = update else { return };
    let envelope = Envelope {
        unix_ms: update.started_s.saturating_mul(1000),
        uid: spread(update.seed.into(), START),
        ..envelope
    };
    envelope.open(out);
    out.null();
    envelope.close(out);
}

/// `evt.ota_progress.report`
pub(super) fn progress(report: Report, envelope: &Envelope<'_>, out: &mut Writer<'_>) {
    envelope.open(out);
    out.object().key("progress").int(report.percent);
    if let Some(remaining_s) = report.remaining_s {
        out.key("remaining_min").uint(remaining_s / 60);
        out.key("remaining_sec").uint(remaining_s % 60);
    }
    out.end_object();
    envelope.close(out);
}

/// `evt.ota_end.report`: the same each time.
pub(super) fn end(
    update: Option<&Update>,
    revision: Revision,
    envelope: Envelope<'_>,
    out: &mut Writer<'_>,
) {
    let Some(update) = update else { return };
    let (Stage::EndDue(outcome) | Stage::Ended(outcome)) = update.stage else { return };
    let envelope = Envelope {
        unix_ms: update.ended_s().saturating_mul(1000),
        uid: spread(update.seed.into(), END),
        ..envelope
    };
    envelope.open(out);
    out.object().key("success").bool(outcome == Outcome::Success);
    out.key("error").string(outcome.error(revision)).end_object();
    envelope.close(out);
}

impl Fimp<'_> {
    /// `evt.ota_status.report`
    pub(super) fn status(&self, envelope: &Envelope<'_>, out: &mut Writer<'_>) {
        let ended = self.update.map(|update| update.stage);
        let (state, substate) = match (self.phase, ended) {
            (Phase::Waiting, _) => ("IN PROGRESS", "NEEDS USER ACTION TO START"),
            (Phase::Running { has_bytes: false }, _) => ("IN PROGRESS", "STARTED"),
            (Phase::Running { has_bytes: true }, _) => ("IN PROGRESS", "TRANSFERING"),
            (Phase::Rebooting { .. }, _) => ("IN PROGRESS", "DEVICE REBOOTING"),
            (Phase::Rediscovery, _) => ("IN PROGRESS", "REDISCOVERY"),
            (Phase::Idle, Some(Stage::EndDue(outcome) | Stage::Ended(outcome))) => {
                ("FINISHED", outcome.substate())
            }
            (Phase::Idle, Some(Stage::Begun | Stage::Whole) | None) => ("NOT STARTED", ""),
        };
        envelope.open(out);
        out.object().key("state").string(state);
        if !substate.is_empty() {
            out.key("substate").string(substate);
        }
        if let Some(last_update_s) = self.last_update_s() {
            out.key("last_update").uint(last_update_s);
        }
        out.end_object();
        envelope.close(out);
    }
}

/// `evt.thing.inclusion_report`
pub(super) fn inclusion(
    config: &Config<'_>,
    info: &Info<'_>,
    envelope: Envelope<'_>,
    out: &mut Writer<'_>,
) {
    let address = &config.address;
    let (device, group) = address.device_and_group();
    let groups = |out: &mut Writer<'_>| {
        out.key("groups").array().arguments(format_args!("ch_{group}")).end_array();
    };
    let envelope = Envelope { serv: address.resource, ..envelope };
    envelope.open(out);
    out.object().key("address").string(device);
    groups(out);
    out.key("services").array().object();
    out.key("name").string(super::address::SERVICE).key("alias").string("");
    out.key("address").display(address).key("enabled").bool(true);
    groups(out);
    out.key("props").null().key("tags").null().key("prop_set_ref").string("");
    out.key("interfaces").array();
    for (is_in, name, val_t) in interfaces(config.revision) {
        out.object().key("intf_t").string(if is_in { "in" } else { "out" });
        out.key("msg_t").string(name).key("val_t").string(val_t.name());
        out.key("ver").string("1").end_object();
    }
    out.end_array().end_object().end_array();
    let Info { app, arch, fw_version, .. } = info;
    out.key("product_name").string(app);
    out.key("product_hash").arguments(format_args!("{}_{app}_{arch}", address.resource));
    for key in ["product_id", "manufacturer_id", "device_id", "hw_ver"] {
        out.key(key).string("");
    }
    out.key("sw_ver").string(fw_version);
    for (key, value) in [
        ("comm_tech", "local_network"),
        ("power_source", config.power_source),
        ("wakeup_interval", "-1"),
        ("security", "insecure"),
    ] {
        out.key(key).string(value);
    }
    out.key("tech_specific_props").null().key("prop_set").null().end_object();
    envelope.close(out);
}

/// What is advertised: whether it comes in, its name and the type of its value.
fn interfaces(revision: Revision) -> impl Iterator<Item = (bool, &'static str, ValueType)> {
    const STATUS: [(bool, &str, ValueType); 2] = [
        (true, "cmd.ota_status.get_report", ValueType::Null),
        (false, "evt.ota_status.report", ValueType::Object),
    ];
    const REPORTS: [(bool, &str, ValueType); 4] = [
        (false, "evt.ota_start.report", ValueType::Null),
        (false, "evt.ota_progress.report", ValueType::IntMap),
        (false, "evt.ota_end.report", ValueType::Object),
        (false, "evt.error.report", ValueType::String),
    ];
    let (start, status) = match revision {
        Revision::Draft => (super::command::INSTALL, &STATUS[..]),
        Revision::Current => (super::command::START, &[][..]),
    };
    [(true, start, ValueType::String)].into_iter().chain(status.iter().copied()).chain(REPORTS)
}
