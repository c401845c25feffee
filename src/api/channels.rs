//! The channels that a monitor or a heartbeat names for itself: each must be one that this watchdog has, for nobody would be
//! told through a misspelt one. One that is taken out of the configuration later is no fault of what named it.

/// What is wrong with these names, if anything.
pub(super) fn fault(named: &[String], known: &[String]) -> Option<String> {
    let missing: Vec<&str> = named.iter().filter(|name| !known.contains(name)).map(String::as_str).collect();
    if missing.is_empty() {
        return None;
    }
    let missing = missing.join(", ");
    Some(match known {
        [] => format!(
            "there is no channel {missing}: this watchdog has none; add a [[channel]] to the configuration of all"
        ),
        known => format!("there is no channel {missing}; this watchdog has {}", known.join(", ")),
    })
}
