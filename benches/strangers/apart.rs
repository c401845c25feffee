//! The strangers in a process of their own: this program once more, which gives way to everything else.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::it::cluster::strangers::{Doors, Origin, Strangers};

/// The first argument of the program that is only the strangers.
const AS_STRANGERS: &str = "--as-strangers";

/// How far they give way.
const NICE: &str = "10";

/// Whoever is sent away comes back after this.
const PAUSE: Duration = Duration::from_secs(10);

/// Their process, as the bench sees it; gone when dropped.
pub(crate) struct Apart(Child);

impl Apart {
    pub(crate) fn begin(doors: &Doors, (many, origin): (usize, Origin)) -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", NICE]).arg(std::env::current_exe().unwrap()).arg(AS_STRANGERS).arg(many.to_string());
        command.arg(if origin == Origin::OneAddress { "one" } else { "many" }).arg(&doors.authority);
        command.args(doors.ports.iter().map(u16::to_string));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        Self(command.spawn().unwrap())
    }

    /// They go; how many connections they began.
    pub(crate) async fn end(mut self) -> u64 {
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
        self.0.wait().await.unwrap();
        said.trim().parse().unwrap()
    }
}

/// What that process was asked to be.
pub(crate) struct Crowd {
    doors: Doors,
    many: usize,
    origin: Origin,
}

/// `None`: this is the bench itself.
pub(crate) fn asked_for() -> Option<Crowd> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != AS_STRANGERS {
        return None;
    }
    let many = arguments.next()?.parse().ok()?;
    let origin = if arguments.next()? == "one" { Origin::OneAddress } else { Origin::ManyAddresses };
    let authority = PathBuf::from(arguments.next()?);
    let ports = arguments.map(|port| port.parse().unwrap()).collect();
    Some(Crowd { doors: Doors { ports, authority }, many, origin })
}

impl Crowd {
    /// Until the bench has enough of them.
    pub(crate) async fn stand_about(self) {
        let strangers = Strangers::come(&self.doors, (self.many, self.origin), PAUSE);
        // Its own thread: the crowd goes on meanwhile.
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await
            .unwrap()
            .unwrap();
        println!("{}", strangers.opened());
    }
}
