//! The images, made of what debootstrap brings.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::engine::{Engine, answered, leave_out};
use crate::stack::{repository, words};
use crate::support::kuma;

/// Of MariaDB, of nginx with Lua, and of what stands in for Kuma.
const PACKAGES: &str = "ca-certificates,curl,libnginx-mod-http-lua,lua-cjson,lua-nginx-dns,mariadb-client-core,mariadb-server-core,nginx-light,nodejs";

/// What all others are made of.
const BASE: &str = "localhost/komainu-base";

/// What the program needs of a system: its libraries, how names are found, whom to trust.
const BARE: [&str; 9] = [
    "./lib*",
    "./usr/lib*/ld-linux*",
    "./usr/lib/*/libc.so.6",
    "./usr/lib/*/libm.so.6",
    "./usr/lib/*/libgcc_s.so.1",
    "./usr/lib/*/libresolv.so.2",
    "./usr/lib/*/libnss_dns.so.2",
    "./usr/lib/*/libnss_files.so.2",
    "./etc/ssl/certs/ca-certificates.crt",
];

/// Whether there are images under all names; where no base can be had, or no container be run, that is said.
pub(super) fn make(engine: &Engine) -> bool {
    let base = match strapped(engine).and_then(|base| tried(engine, base)) {
        Ok(base) => base,
        Err(why) => {
            leave_out(&why);
            return false;
        }
    };
    bare(engine, &base);
    engine.podman(&format!("tag {BASE} {}", named("gateway")));
    build(engine, "db", &named("db"), |_| {});
    build(engine, "kuma", &named("kuma1"), |context| {
        let tables =
            kuma::stock(false).replace("TABLE `", "TABLE IF NOT EXISTS `").replace("INDEX `", "INDEX IF NOT EXISTS `");
        std::fs::write(context.join("tables.sql"), tables).unwrap();
    });
    let rust = std::fs::read_to_string(repository("compose/Dockerfile")).unwrap();
    let rust = rust.lines().find_map(|line| line.strip_prefix("ARG RUST=")).unwrap();
    build(engine, "rust", rust, |context| {
        let mut strip = Command::new("strip");
        strip.arg(env!("CARGO_BIN_EXE_komainu")).arg("-o").arg(context.join("komainu"));
        answered("strip", &strip.output().unwrap());
    });
    true
}

/// By which name compose.yaml has a service's image.
fn named(service: &str) -> String {
    let image = crate::stack::yaml::stack()["services"][service]["image"].as_str().unwrap().to_owned();
    image.split_once("${").unwrap().0.to_owned()
}

/// A Debian like this one, whose libraries the program was built for, as an archive. It is kept for the next time.
fn strapped(engine: &Engine) -> Result<PathBuf, String> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).ok_or("this is no Debian")?;
    let kept = repository("target/containers");
    std::fs::create_dir_all(&kept).map_err(|error| error.to_string())?;
    let (archive, packages) = (kept.join(format!("{suite}.tar")), kept.join(format!("{suite}.packages")));
    if std::fs::read_to_string(&packages).is_ok_and(|text| text == PACKAGES) {
        return Ok(archive);
    }
    let root = engine.folder().join("base");
    let mut debootstrap = Command::new("timeout");
    debootstrap.args(["240", "debootstrap", "--variant=minbase"]).arg(format!("--include={PACKAGES}")).arg(suite);
    let output = debootstrap.arg(&root).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = words(&output);
        return Err(format!("debootstrap made no base: {}", said.lines().last().unwrap_or_default()));
    }
    pack(&root, &archive);
    std::fs::write(packages, PACKAGES).map_err(|error| error.to_string())?;
    Ok(archive)
}

/// Without what apt keeps.
fn pack(root: &Path, archive: &Path) {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--exclude=./var/cache/apt", "--exclude=./var/lib/apt", "--file"]).arg(archive);
    answered("tar", &tar.arg("--directory").arg(root).arg(".").output().unwrap());
}

/// Imports it, and runs something in it, with a network and with limits.
fn tried(engine: &Engine, archive: PathBuf) -> Result<PathBuf, String> {
    engine.podman(&format!("import --quiet {} {BASE}", archive.display()));
    let output = engine.try_podman(&format!("run --rm --read-only --memory=64m --cpus=1 --pids-limit=16 {BASE} true"));
    let said = words(&output);
    if output.status.success() { Ok(archive) } else { Err(format!("Podman runs nothing here: {}", said.trim())) }
}

/// A system without a shell, as the Dockerfile's base is.
fn bare(engine: &Engine, base: &Path) {
    let root = engine.folder().join("bare");
    std::fs::create_dir(&root).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--directory").arg(&root).arg("--wildcards").arg("--file").arg(base).args(BARE);
    answered("tar", &tar.output().unwrap());
    std::fs::write(root.join("etc/passwd"), "nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n").unwrap();
    std::fs::write(root.join("etc/group"), "nonroot:x:65532:\n").unwrap();
    let mut import = engine.command(&root, "sh");
    import.args(["-c", r#"tar --create . | podman import --quiet - "$0""#, "gcr.io/distroless/cc-debian12:nonroot"]);
    answered("import", &import.output().unwrap());
}

/// From a folder of `fixtures/containers/`, and what `prepare` puts beside it.
fn build(engine: &Engine, fixture: &str, name: &str, prepare: impl FnOnce(&Path)) {
    let context = engine.folder().join(fixture);
    let from = repository("tests/it/fixtures/containers").join(fixture);
    answered(fixture, &Command::new("cp").arg("-R").arg(from).arg(&context).output().unwrap());
    prepare(&context);
    answered(
        name,
        &engine.command(&context, "podman").args(["build", "--quiet", "--tag", name, "."]).output().unwrap(),
    );
}
