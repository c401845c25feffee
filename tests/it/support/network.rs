//! Hosts of one test: network namespaces around a router that forwards between them, or drops what it is told to drop.
//!
//! Nothing of it touches the machine's own network: the test reaches into a host by sockets that a thread of its own opens there. Namespaces
//! are for whoever may make them (root, in a container with `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`); elsewhere there is no network, and that is
//! said. Who is cut off is not told: packets vanish.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Names of namespaces: `komainu-PID-N-host`.
const PREFIX: &str = "komainu-";

static MADE: AtomicU32 = AtomicU32::new(0);

/// The hosts, each behind a link of its own; gone when dropped.
pub(crate) struct Network {
    tag: String,
    /// Number of each host's link.
    hosts: BTreeMap<&'static str, u8>,
}

impl Network {
    /// `None`: no namespaces can be made here, and the test that wants them says so and tries nothing.
    pub(crate) fn build(hosts: &[&'static str]) -> Option<Self> {
        remove_leftovers();
        let tag = format!("{PREFIX}{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let hosts = hosts.iter().zip(1..).map(|(&host, number)| (host, number)).collect();
        let network = Self { tag, hosts };
        if try_ip(&["netns", "add", &network.router()]).is_err() {
            #[expect(clippy::print_stderr, reason = "a test that tries nothing says so")]
            {
                eprintln!("left out: no network namespaces can be made here");
            }
            return None;
        }
        run(&network.router(), &["ip", "link", "set", "lo", "up"]);
        let forwards = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding";
        run(&network.router(), &["sh", "-c", forwards]);
        network.hosts.keys().for_each(|host| network.connect(host));
        Some(network)
    }

    fn connect(&self, host: &str) {
        let (host_side, router, link) = (self.namespace(host), self.router(), format!("r{}", self.hosts[host]));
        ip(&["netns", "add", &host_side]);
        ip(&["link", "add", &link, "netns", &router, "type", "veth", "peer", "name", "eth0", "netns", &host_side]);
        for (namespace, device, last) in [(&host_side, "eth0", 2), (&router, link.as_str(), 1)] {
            run(namespace, &["ip", "link", "set", "lo", "up"]);
            run(namespace, &["ip", "link", "set", device, "up"]);
            let (four, six) = self.addresses(host, last);
            run(namespace, &["ip", "address", "add", &format!("{four}/24"), "dev", device]);
            run(namespace, &["ip", "address", "add", &format!("{six}/64"), "dev", device, "nodad"]);
        }
        let (four, six) = self.addresses(host, 1);
        run(&host_side, &["ip", "route", "add", "default", "via", &four.to_string()]);
        run(&host_side, &["ip", "route", "add", "default", "via", &six.to_string()]);
    }

    fn addresses(&self, host: &str, last: u8) -> (Ipv4Addr, Ipv6Addr) {
        let number = self.hosts[host];
        let six = Ipv6Addr::new(0xfd77, 0, 0, u16::from(number), 0, 0, 0, u16::from(last));
        (Ipv4Addr::new(10, 77, number, last), six)
    }

    /// Where a host is.
    pub(crate) fn address(&self, host: &str) -> Ipv4Addr {
        self.addresses(host, 2).0
    }

    /// The same by the other protocol.
    pub(crate) fn address_6(&self, host: &str) -> Ipv6Addr {
        self.addresses(host, 2).1
    }

    /// What starts a program on a host.
    pub(crate) fn starter(&self, host: &str) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace(host)].map(str::to_owned).into()
    }

    /// The same, where names are asked for at this server.
    pub(crate) fn starter_with_names(&self, host: &str, server: IpAddr) -> Vec<String> {
        let settings = format!("nameserver {server}\noptions timeout:1 attempts:1\n");
        let file = std::env::temp_dir().join(format!("{}-{host}.conf", self.tag));
        std::fs::write(&file, settings).unwrap();
        let mounts = format!("mount --bind {} /etc/resolv.conf && rm {0} && exec \"$@\"", file.display());
        let mut starter = self.starter(host);
        starter.extend(["sh", "-c", &mounts, "sh"].map(str::to_owned));
        starter
    }

    /// Nothing gets from the one to the other any more, nor back.
    pub(crate) fn cut(&self, one: &str, other: &str) {
        for (from, to) in [(one, other), (other, one)] {
            let ((from, from_6), (to, to_6)) = (self.addresses(from, 2), self.addresses(to, 2));
            self.drop_packets("-4", &["from", &from.to_string(), "to", &to.to_string()]);
            self.drop_packets("-6", &["from", &from_6.to_string(), "to", &to_6.to_string()]);
        }
    }

    /// Nothing reaches the host any more, and nothing that it sends arrives.
    pub(crate) fn cut_off(&self, host: &str) {
        let (four, six) = self.addresses(host, 2);
        for direction in ["from", "to"] {
            self.drop_packets("-4", &[direction, &four.to_string()]);
            self.drop_packets("-6", &[direction, &six.to_string()]);
        }
    }

    fn drop_packets(&self, family: &str, which: &[&str]) {
        let rule = ["ip", family, "rule", "add", "priority", "100"];
        run(&self.router(), &[&rule[..], which, &["type", "blackhole"]].concat());
    }

    /// Everything gets through again.
    pub(crate) fn heal(&self) {
        for family in ["-4", "-6"] {
            let all = format!("while ip {family} rule delete priority 100 2>/dev/null; do :; done");
            run(&self.router(), &["sh", "-c", &all]);
        }
    }

    /// A server of the test's own on a host.
    pub(crate) fn listen(&self, host: &str, address: IpAddr, port: u16) -> tokio::net::TcpListener {
        let listener = self.on(host, move || TcpListener::bind((address, port))).unwrap();
        listener.set_nonblocking(true).unwrap();
        tokio::net::TcpListener::from_std(listener).unwrap()
    }

    /// The same for packets.
    pub(crate) fn receive(&self, host: &str, address: IpAddr, port: u16) -> tokio::net::UdpSocket {
        let socket = self.on(host, move || UdpSocket::bind((address, port))).unwrap();
        socket.set_nonblocking(true).unwrap();
        tokio::net::UdpSocket::from_std(socket).unwrap()
    }

    /// What a host finds at this address of its own becomes reachable for the test at the same port of the loopback.
    pub(crate) async fn expose(&self, host: &str, port: u16) {
        let near = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let namespace = self.namespace(host);
        let far = SocketAddr::from(([127, 0, 0, 1], port));
        tokio::spawn(async move {
            while let Ok((client, _)) = near.accept().await {
                let namespace = namespace.clone();
                tokio::spawn(async move {
                    let dialled = tokio::task::spawn_blocking(move || {
                        within(&namespace, move || TcpStream::connect_timeout(&far, Duration::from_secs(2)))
                    });
                    let Ok(Ok(server)) = dialled.await else { return };
                    server.set_nonblocking(true).unwrap();
                    join(client, tokio::net::TcpStream::from_std(server).unwrap()).await;
                });
            }
        });
    }

    /// What the test finds at this port of the loopback becomes reachable at a host.
    pub(crate) fn offer(&self, host: &str, port: u16) {
        let listener = self.listen(host, self.address(host).into(), port);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(server) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return };
                    join(client, server).await;
                });
            }
        });
    }

    fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.tag)
    }

    fn router(&self) -> String {
        self.namespace("router")
    }

    fn on<T: Send + 'static>(&self, host: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
        within(&self.namespace(host), act)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let hosts: Vec<_> = self.hosts.keys().map(|host| self.namespace(host)).collect();
        for namespace in hosts.iter().chain([&self.router()]) {
            let _ = try_ip(&["netns", "delete", namespace]);
        }
    }
}

async fn join(mut one: tokio::net::TcpStream, mut other: tokio::net::TcpStream) {
    // Whichever side breaks off ends both.
    let _ = tokio::io::copy_bidirectional(&mut one, &mut other).await;
}

/// A thread that has entered a namespace is good for nothing else afterwards.
fn within<T: Send + 'static>(namespace: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let file = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        act()
    });
    thread.join().unwrap()
}

/// A program on a host.
fn run(namespace: &str, words: &[&str]) {
    ip(&[&["netns", "exec", namespace], words].concat());
}

fn ip(words: &[&str]) {
    if let Err(complaint) = try_ip(words) {
        panic!("ip {}: {complaint}", words.join(" "));
    }
}

fn try_ip(words: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(words).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Of runs that were killed.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).map(str::to_owned);
        if process.is_some_and(|process| !std::path::Path::new(&format!("/proc/{process}")).exists()) {
            let _ = try_ip(&["netns", "delete", &name]);
        }
    }
}
