//! The gateway's decisions without a gateway: Lua that runs once while nginx reads its configuration.

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs nginx"]
fn the_pure_parts_of_the_lua_keep_their_promises() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nginx.conf");
    let text = format!(
        "load_module /usr/lib/nginx/modules/ndk_http_module.so;\n\
         load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;\n\
         pid nginx.pid; error_log stderr notice; events {{}}\n\
         http {{ access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; \
         scgi_temp_path s;\n lua_package_path \"{}/compose/openresty/lua/?.lua;;\";\n\
         init_by_lua_file {}/tests/it/gateway/lua/pure.lua; }}\n",
        root.display(),
        root.display()
    );
    std::fs::write(&config, text).unwrap();
    let output = Command::new("nginx")
        .args(["-g", "daemon off;"])
        .arg("-p")
        .arg(folder.path())
        .arg("-c")
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("promises kept: "), "{said}");
}
