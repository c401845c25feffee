//! Whether the end of a certificate's validity is an incident of komainu's.
//!
//! Kuma writes down the certificates that it sees and tells people 21, 14 and 7 days before the first of them expires,
//! where a monitor's `expiry_notification` is set and its errors of TLS are not ignored. komainu takes over the days and
//! the conditions: a warning at the earliest of those days, critical at the last. Who alerts belongs to the monitor, as
//! in [`crate::downtime`]. Root certificates are left out: clients go by their own copies.

use std::time::Duration;

use crate::downtime::End as MonitorEnd;
use crate::io::Severity;
use crate::time::Wall;

const DAY: Duration = Duration::from_secs(86_400);

/// Days before the end at which people are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Days {
    /// Look at it in the coming days.
    pub warning: u32,
    /// Look at it now.
    pub critical: u32,
}

impl Days {
    /// Of Kuma's setting `tlsExpiryNotifyDays`, by default `[7, 14, 21]`; none: nobody wants to be told.
    pub fn of(days: &[u32]) -> Option<Self> {
        Some(Self { warning: *days.iter().max()?, critical: *days.iter().min()? })
    }
}

impl Default for Days {
    fn default() -> Self {
        Self { warning: 21, critical: 7 }
    }
}

/// Whether a monitor has to do with certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// It asks to be told, and does not ignore errors of TLS.
    Told,
    /// It does not.
    Untold,
    /// It sees none: what is known of a certificate is of before it was edited.
    Plain,
}

impl Want {
    /// Of a monitor with this type and address. Types that are not known here may see certificates.
    pub fn of(kind: &str, url: &str, is_wanted: bool) -> Self {
        let is_encrypted = || url.trim_start().get(..8).is_some_and(|head| head.eq_ignore_ascii_case("https://"));
        match kind {
            "push" | "ping" | "dns" | "group" | "manual" => Self::Plain,
            "http" | "keyword" | "json-query" if !is_encrypted() => Self::Plain,
            _ if is_wanted => Self::Told,
            _ => Self::Untold,
        }
    }
}

/// What decides about the certificates of one monitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The monitor runs at all.
    pub is_active: bool,
    /// Whether it has to do with certificates.
    pub want: Want,
    /// komainu alerts for this monitor.
    pub is_ours: bool,
    /// The first end of a certificate in the chain; `None`: no certificate is known.
    pub expires_at: Option<Wall>,
}

/// Why an incident is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Another certificate, which is valid for longer.
    Renewed,
    /// Nobody wants to know any more.
    Unwanted,
    /// The monitor sees no certificate any more.
    Plain,
    /// The monitor's own end.
    Monitor(MonitorEnd),
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing is to be done.
    Leave,
    /// Open the incident, or note how bad it is by now.
    Open {
        /// Whether somebody is to get up for it.
        severity: Severity,
        /// Whole days that are left; 0: the last one, or over.
        days: u64,
    },
    /// Resolve the incident.
    Resolve(End),
}

/// Decides; `None`: there is no such monitor. `open`: the severity of its open incident, if it has one.
pub fn decide(monitor: Option<&Facts>, days: Option<Days>, now: Wall, open: Option<Severity>) -> Verdict {
    let over = |end| if open.is_some() { Verdict::Resolve(end) } else { Verdict::Leave };
    let Some(facts) = monitor else { return over(End::Monitor(MonitorEnd::Deleted)) };
    if !facts.is_active {
        return over(End::Monitor(MonitorEnd::Paused));
    }
    let days = match (facts.want, days) {
        (Want::Plain, _) => return over(End::Plain),
        (Want::Untold, _) | (Want::Told, None) => return over(End::Unwanted),
        (Want::Told, Some(days)) => days,
    };
    let Some(expires_at) = facts.expires_at else { return Verdict::Leave };
    // Whole days, as Kuma counts them.
    let left = expires_at.since(now).as_secs() / DAY.as_secs();
    if left > u64::from(days.warning) {
        return over(End::Renewed);
    }
    let severity = if left > u64::from(days.critical) { Severity::Warning } else { Severity::Critical };
    match open {
        // A move to a stock Kuma is no renewal: what is open stays so until its end.
        None if !facts.is_ours => Verdict::Leave,
        Some(known) if known == severity => Verdict::Leave,
        None | Some(_) => Verdict::Open { severity, days: left },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_000_000);

    fn expiring_in(days: u32) -> Facts {
        // A certificate ends within a day, not at midnight.
        let expires_at = Some(NOW + DAY * days + Duration::from_secs(3_600));
        Facts { is_active: true, want: Want::Told, is_ours: true, expires_at }
    }

    fn decided(facts: &Facts, open: Option<Severity>) -> Verdict {
        decide(Some(facts), Some(Days::default()), NOW, open)
    }

    #[test]
    fn a_monitor_that_asks_nothing_encrypted_any_more_has_no_incident() {
        for (kind, url) in [("http", "http://shop"), ("keyword", "HTTP://shop"), ("ping", ""), ("push", "https://")] {
            let plain = Facts { want: Want::of(kind, url, true), ..expiring_in(3) };
            assert_eq!(decided(&plain, Some(Severity::Critical)), Verdict::Resolve(End::Plain), "{kind} {url}");
            assert_eq!(decided(&plain, None), Verdict::Leave);
        }
        assert_eq!(Want::of("http", "HTTPS://shop", true), Want::Told);
        assert_eq!(Want::of("smtp", "", true), Want::Told, "it may see one");
        assert_eq!(Want::of("http", "https://shop", false), Want::Untold);
    }

    #[test]
    fn a_warning_three_weeks_before_and_critical_in_the_last_week() {
        assert_eq!(decided(&expiring_in(22), None), Verdict::Leave);
        assert_eq!(decided(&expiring_in(21), None), Verdict::Open { severity: Severity::Warning, days: 21 });
        assert_eq!(decided(&expiring_in(19), Some(Severity::Warning)), Verdict::Leave, "told already");
        let critical = Verdict::Open { severity: Severity::Critical, days: 7 };
        assert_eq!(decided(&expiring_in(7), Some(Severity::Warning)), critical);
        let over = Facts { expires_at: Some(Wall(5)), ..expiring_in(0) };
        assert_eq!(decided(&over, None), Verdict::Open { severity: Severity::Critical, days: 0 });
    }

    #[test]
    fn a_renewed_certificate_ends_it() {
        assert_eq!(decided(&expiring_in(90), Some(Severity::Critical)), Verdict::Resolve(End::Renewed));
        assert_eq!(decided(&expiring_in(90), None), Verdict::Leave);
    }

    #[test]
    fn who_does_not_want_to_know_is_not_told() {
        let unwanted = Facts { want: Want::Untold, ..expiring_in(3) };
        assert_eq!(decided(&unwanted, None), Verdict::Leave);
        assert_eq!(decided(&unwanted, Some(Severity::Critical)), Verdict::Resolve(End::Unwanted));
        let without_days = decide(Some(&expiring_in(3)), Days::of(&[]), NOW, None);
        assert_eq!(without_days, Verdict::Leave);
    }

    #[test]
    fn a_monitor_of_kumas_is_kumas_until_it_was_told_here() {
        let of_kuma = Facts { is_ours: false, ..expiring_in(3) };
        assert_eq!(decided(&of_kuma, None), Verdict::Leave);
        assert_eq!(decided(&of_kuma, Some(Severity::Critical)), Verdict::Leave);
    }

    #[test]
    fn a_paused_and_a_deleted_monitor_have_no_incident() {
        let paused = Facts { is_active: false, ..expiring_in(3) };
        let end = |end| Verdict::Resolve(End::Monitor(end));
        assert_eq!(decided(&paused, Some(Severity::Critical)), end(MonitorEnd::Paused));
        assert_eq!(decide(None, Some(Days::default()), NOW, Some(Severity::Warning)), end(MonitorEnd::Deleted));
        assert_eq!(decide(None, Some(Days::default()), NOW, None), Verdict::Leave);
    }
}
