//! A proxy before MariaDB that reads along, and kills a process at a chosen point of a transaction; and the book of who
//! is to be killed, which a vendor may use too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where a process dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The transaction with this statement is not committed.
    BeforeCommit(&'static str),
    /// It is, and the process does not learn of it.
    AfterCommit(&'static str),
    /// The vendor did not take what was sent.
    VendorLosesIt,
    /// The vendor took it, and its answer is not heard.
    VendorTakesIt,
}

/// The next fault, whom it may hit, and whom it hit.
#[derive(Default)]
pub(crate) struct Faults {
    armed: Mutex<Option<Fault>>,
    processes: Mutex<BTreeMap<String, u32>>,
    hit: Mutex<Vec<String>>,
}

impl Faults {
    /// Whoever comes to this point next dies there.
    pub(crate) fn arm(&self, fault: Fault) {
        *self.armed.lock().unwrap() = Some(fault);
    }

    /// A process that may die.
    pub(crate) fn know(&self, name: &str, process: u32) {
        self.processes.lock().unwrap().insert(name.to_owned(), process);
    }

    /// Those who died since it was last asked.
    pub(crate) fn take_hit(&self) -> Vec<String> {
        std::mem::take(&mut *self.hit.lock().unwrap())
    }

    /// Disarms it if it is one of these.
    pub(crate) fn take(&self, is_it: impl Fn(Fault) -> bool) -> Option<Fault> {
        self.armed.lock().unwrap().take_if(|fault| is_it(*fault))
    }

    /// With signal 9.
    pub(crate) fn kill(&self, name: &str) {
        let process = self.processes.lock().unwrap()[name];
        kill_process(Pid::from_raw(i32::try_from(process).unwrap()).unwrap(), Signal::KILL).unwrap();
        self.hit.lock().unwrap().push(name.to_owned());
    }
}

/// Forwards a free loopback port, which it returns, to `upstream`, for the process of this name.
pub(crate) async fn start(upstream: u16, name: &str, faults: Arc<Faults>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = name.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else { continue };
            tokio::spawn(serve(client, server, name.clone(), Arc::clone(&faults)));
        }
    });
    port
}

async fn serve(mut client: TcpStream, mut server: TcpStream, name: String, faults: Arc<Faults>) {
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    // Set once the statement was seen, until the end of its transaction.
    let mut marked = None;
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let read = read.unwrap_or(0);
                let sent = String::from_utf8_lossy(&up[..read]).into_owned();
                if let Some(fault) = seen(&faults, &sent) {
                    marked = Some(fault);
                }
                if sent.contains("COMMIT") {
                    match marked.take() {
                        Some(Fault::BeforeCommit(_)) => return faults.kill(&name),
                        Some(_) => {
                            let _ = server.write_all(&up[..read]).await;
                            let _ = server.read(&mut down).await;
                            return faults.kill(&name);
                        }
                        None => {}
                    }
                }
                if read == 0 || server.write_all(&up[..read]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let read = read.unwrap_or(0);
                if read == 0 || client.write_all(&down[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn seen(faults: &Faults, sent: &str) -> Option<Fault> {
    faults.take(|fault| match fault {
        Fault::BeforeCommit(statement) | Fault::AfterCommit(statement) => sent.contains(statement),
        Fault::VendorLosesIt | Fault::VendorTakesIt => false,
    })
}
