//! The three nginx of the bench: the backend, the gateway, and the gateway's own configuration with a fixed upstream.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use komainu::clock;
use rustix::process::{Pid, Signal, kill_process};

/// Four of these are as large as Kuma's page; nginx takes no longer word.
const QUARTER_OF_PAGE: usize = 1_024;

/// For how long something may take to start.
const LIMIT: Duration = Duration::from_secs(20);

/// A running nginx; ended by its process id when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(mut command: Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("nginx is installed");
        let server = Self { child, port };
        server.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    fn wait_until(&self, is_true: impl Fn() -> bool) {
        let begin = clock::now();
        while !is_true() {
            assert!(clock::now().since(begin) < LIMIT, "nothing answers on port {}", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Microseconds of processor time that its one worker has used.
    pub(crate) fn cpu_us(&self) -> f64 {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let worker = std::fs::read_to_string(children).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.trim())).unwrap();
        // proc(5): utime and stime, in hundredths of a second, are the 14th and 15th field; the second ends with ')'.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
        ticks * 10_000.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Plays node and watchdog.
pub(crate) struct Backend {
    server: Server,
}

impl Backend {
    pub(crate) fn start(folder: &Path) -> Self {
        let port = free_port();
        let place = folder.join("backend");
        std::fs::create_dir_all(&place).unwrap();
        let node = |id: u32, load: f64| {
            format!(
                "{{\"node_id\":\"node{id}\",\"address\":\"http://127.0.0.1:{port}\",\"status\":\"online\",\
                 \"overlay\":\"none\",\"load\":{load},\"monitor_count\":1,\"accepts_sessions\":true,\
                 \"keeps_sessions\":true}}"
            )
        };
        // `checked_at` moves, as it does while rounds happen.
        let routes = format!(
            "{{\"pinned_node\":null,\"generation\":1,\"checked_at\":$msec,\"nodes\":[{},{},{}]}}",
            node(1, 0.25),
            node(2, 0.25),
            node(3, 0.25)
        );
        let text = format!(
            "pid nginx.pid; worker_processes 1; error_log stderr warn; daemon off;\nevents {{ worker_connections 1024; }}\n\
             http {{ access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u;\n\
             scgi_temp_path s; keepalive_requests 1000000000; default_type application/json;\n\
             server {{ listen 127.0.0.1:{port};\n set $quarter \"{}\";\n location / {{ return 200 \"$quarter$quarter$quarter$quarter\"; }}\n\
             location = /lb/routes {{ return 200 '{routes}'; }}\n\
             location = /lb/pushes {{ return 200 '{{\"generation\":1,\"owners\":{{}}}}'; }}\n}} }}\n",
            "x".repeat(QUARTER_OF_PAGE)
        );
        Self { server: Server::start(nginx(&place, &text), port) }
    }
}

/// The gateway as it is shipped.
pub(crate) struct Routed(pub(crate) Server, PathBuf);

impl Routed {
    pub(crate) fn start(folder: &Path, backend: &Backend) -> Self {
        let (port, place, key) = (free_port(), folder.join("routed"), folder.join("gateway.key"));
        std::fs::write(&key, "0".repeat(64)).unwrap();
        let mut command = Command::new(root().join("compose/openresty/start"));
        command.env("KOMAINU_GATEWAY_DIR", &place).env("KOMAINU_GATEWAY_LISTEN", format!("127.0.0.1:{port}"));
        command.env("KOMAINU_GATEWAY_WORKERS", "1").env("KOMAINU_GATEWAY_KEY_FILE", &key);
        command.env("KOMAINU_WATCHDOGS", backend.server.url(""));
        // All the load comes from one address.
        command.env("KOMAINU_GATEWAY_REQUESTS_OF_ADDRESS", "1000000");
        let server = Server::start(command, port);
        server.wait_until(|| is_served(&server));
        Self(server, place)
    }
}

fn is_served(server: &Server) -> bool {
    let output = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &server.url("/")]).output();
    output.is_ok_and(|output| output.stdout == b"200")
}

/// The same configuration, of which everything that is Lua is left out.
pub(crate) struct Static(pub(crate) Server);

impl Static {
    pub(crate) fn start(folder: &Path, backend: &Backend, routed: &Routed) -> Self {
        let (port, place) = (free_port(), folder.join("fixed"));
        std::fs::create_dir_all(place.join("local")).unwrap();
        std::fs::create_dir_all(place.join("tmp")).unwrap();
        for name in ["main.conf", "http.conf", "log.conf", "listen.conf"] {
            let text = std::fs::read_to_string(routed.1.join("local").join(name)).unwrap();
            let text = text.replace(&format!(":{}", routed.0.port), &format!(":{port}"));
            std::fs::write(place.join("local").join(name), text).unwrap();
        }
        let shipped = std::fs::read_to_string(root().join("compose/openresty/nginx.conf")).unwrap();
        let peer = format!("server 127.0.0.1:{};", backend.server.port);
        let kept = shipped.lines().filter(|line| !line.contains("_by_lua_block") && !line.contains("error_page"));
        let fixed = kept.map(|line| if line.contains("server 0.0.0.1:1;") { peer.as_str() } else { line });
        let text = format!("daemon off;\n{}\n", fixed.collect::<Vec<_>>().join("\n"));
        Self(Server::start(nginx(&place, &text), port))
    }
}

fn nginx(place: &Path, text: &str) -> Command {
    let config = place.join("nginx.conf");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(place).arg("-c").arg(config);
    command
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
