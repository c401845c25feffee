//! Whether people can be told, as far as this watchdog sees.

use komainu_watchdogs::view::Health;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::voice::Voice;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ChannelLabel {
    channel: String,
}

pub(super) fn register(registry: &mut Registry, voice: &Voice) {
    let can_tell = voice.ability().health == Health::Ok;
    super::number(registry, "can_tell", "1 while people can be told, also of what is critical", i64::from(can_tell));
    let parts = Family::<PartLabel, Gauge>::default();
    for (part, works) in voice.parts() {
        parts.get_or_create(&PartLabel { part: part.as_str() }).set(i64::from(works));
    }
    registry.register("telling_working", "1 while that part of telling people works", parts);
    let channels = Family::<ChannelLabel, Gauge>::default();
    for (channel, works) in voice.channels() {
        channels.get_or_create(&ChannelLabel { channel }).set(i64::from(works));
    }
    registry.register("channel_working", "1 if the channel took what it was given last, or nothing yet", channels);
}
