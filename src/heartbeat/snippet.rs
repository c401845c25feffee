//! A program to paste: text for a shell on the job's host, which stores the secret and writes what sends. `--print` prints it, and the
//! dashboard shows it.
//!
//! The programs themselves are the files beside this one; docs/heartbeats.md shows the same ones, and tests run them.

use clap::ValueEnum;
use serde_json::Value;

use super::calendar;

const BASH: &str = include_str!("snippets/heartbeat.sh");
const PYTHON: &str = include_str!("snippets/heartbeat.py");
const NODE: &str = include_str!("snippets/heartbeat.mjs");
const SERVICE: &str = include_str!("snippets/job.service");
const TIMER: &str = include_str!("snippets/job.timer");

/// In which language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Bash with curl and openssl.
    Curl,
    /// Python 3, standard library only.
    Python,
    /// Node.js 18 or later, nothing else.
    Node,
    /// A service and its timer, with `komainu wrap`.
    Systemd,
}

/// What is filled in.
#[derive(Debug, Clone)]
pub(crate) struct Values {
    /// The heartbeat's name, which is safe in shells, paths and URLs.
    pub(crate) name: String,
    /// Watchdogs, with commas between them.
    pub(crate) url: String,
    /// As the watchdog gave it.
    pub(crate) secret: String,
    /// When the job runs.
    pub(crate) schedule: Schedule,
}

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Every so many seconds.
    Period(u64),
    /// At times of the calendar.
    Cron {
        /// Five fields.
        cron: String,
        /// Of the IANA database.
        time_zone: Option<String>,
    },
}

impl Schedule {
    /// Of a heartbeat, as the API shows it.
    pub(crate) fn of(heartbeat: &Value) -> Self {
        let text = |name: &str| heartbeat.get(name).and_then(Value::as_str).map(str::to_owned);
        match text("cron") {
            Some(cron) => Self::Cron { cron, time_zone: text("time_zone") },
            None => Self::Period(heartbeat.get("period_s").and_then(Value::as_u64).unwrap_or_default()),
        }
    }
}

/// The text to paste.
pub(crate) fn text(kind: Kind, values: &Values) -> String {
    match kind {
        Kind::Curl => program(values, "sh", BASH),
        Kind::Python => program(values, "py", PYTHON),
        Kind::Node => program(values, "mjs", NODE),
        Kind::Systemd => systemd(values),
    }
}

fn program(values: &Values, extension: &str, template: &str) -> String {
    let Values { name, secret, .. } = values;
    let body = fill(template, values);
    format!(
        "# Paste this into a shell of the user that runs the job. It stores the secret in ~/.config/komainu/{name}.secret,\n\
         # which only that user reads, and sends the first heartbeat. Nobody can show the secret again; `komainu heartbeats\n\
         # rotate {name}` makes a new one. Let the job run ~/.config/komainu/{name}.{extension} when it is done.\n\
         mkdir -p -m 700 ~/.config/komainu\n\
         (umask 077; cat > ~/.config/komainu/{name}.secret) <<'SECRET'\n{secret}\nSECRET\n\
         cat > ~/.config/komainu/{name}.{extension} <<'PROGRAM'\n{body}PROGRAM\n\
         chmod 755 ~/.config/komainu/{name}.{extension}\n\
         ~/.config/komainu/{name}.{extension} && echo 'heartbeat {name} sent'"
    )
}

fn systemd(values: &Values) -> String {
    let Values { name, secret, .. } = values;
    let (service, timer) = (fill(SERVICE, values), fill(TIMER, values));
    format!(
        "# Paste this into a shell of root; komainu is expected in /usr/local/bin. It stores the secret in\n\
         # /etc/komainu/{name}.secret and runs the job once. Nobody can show the secret again; `komainu heartbeats rotate\n\
         # {name}` makes a new one. Then put your own command into the service: systemctl edit --full komainu-{name}.service\n\
         mkdir -p -m 755 /etc/komainu\n\
         (umask 077; cat > /etc/komainu/{name}.secret) <<'SECRET'\n{secret}\nSECRET\n\
         cat > /etc/systemd/system/komainu-{name}.service <<'UNIT'\n{service}UNIT\n\
         cat > /etc/systemd/system/komainu-{name}.timer <<'UNIT'\n{timer}UNIT\n\
         systemctl daemon-reload && systemctl enable --now komainu-{name}.timer && systemctl start komainu-{name}.service"
    )
}

fn fill(template: &str, values: &Values) -> String {
    let text = template.replace("@NAME@", &values.name).replace("@URL@", &values.url);
    text.replace("@WHEN@", &when(&values.schedule))
}

/// The settings of a timer.
fn when(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Period(86_400) => "OnCalendar=daily\nPersistent=true".to_owned(),
        Schedule::Period(seconds) => format!("OnActiveSec=0\nOnUnitActiveSec={seconds}s"),
        Schedule::Cron { cron, time_zone } => {
            let zone = time_zone.as_ref().map(|zone| format!(" {zone}")).unwrap_or_default();
            match calendar::of_cron(cron) {
                Some(calendar) => format!("OnCalendar={calendar}{zone}\nPersistent=true"),
                None => format!("# In the words of cron: {cron}{zone}\nOnCalendar=daily\nPersistent=true"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of docs/heartbeats.md.
    fn values() -> Values {
        Values {
            name: "backup".to_owned(),
            url: "https://komainu.example.com".to_owned(),
            secret: "c2VjcmV0".to_owned(),
            schedule: Schedule::Cron { cron: "0 3 * * *".to_owned(), time_zone: Some("Europe/Berlin".to_owned()) },
        }
    }

    #[test]
    fn the_document_shows_what_is_printed() {
        let document = include_str!("../../docs/heartbeats.md");
        for template in [BASH, PYTHON, NODE, SERVICE, TIMER] {
            let shown = fill(template, &values());
            assert!(document.contains(&format!("\n{shown}```\n")), "docs/heartbeats.md does not show:\n{shown}");
        }
    }

    #[test]
    fn the_secret_is_printed_once_and_its_place_is_said() {
        for kind in Kind::value_variants() {
            let text = text(*kind, &values());
            assert_eq!(text.matches("c2VjcmV0").count(), 1, "{text}");
            assert!(!text.contains('@'), "{text}");
            let place =
                if *kind == Kind::Systemd { "/etc/komainu/backup.secret" } else { "~/.config/komainu/backup.secret" };
            assert!(text.lines().take(3).any(|line| line.contains(place)), "{text}");
        }
    }

    #[test]
    fn a_timer_follows_the_schedule() {
        assert_eq!(when(&values().schedule), "OnCalendar=*-*-* 03:00:00 Europe/Berlin\nPersistent=true");
        assert_eq!(when(&Schedule::Period(300)), "OnActiveSec=0\nOnUnitActiveSec=300s");
        let odd = Schedule::Cron { cron: "0 3 13 * 5".to_owned(), time_zone: None };
        assert_eq!(when(&odd), "# In the words of cron: 0 3 13 * 5\nOnCalendar=daily\nPersistent=true");
    }
}
