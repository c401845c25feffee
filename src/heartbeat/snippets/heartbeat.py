#!/usr/bin/env python3
"""Tells komainu how a job went: heartbeat.py [ok|start|fail] [message]"""
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import sys
import time
import urllib.parse

WATCHDOGS = os.environ.get("KOMAINU_URL", "@URL@").split(",")
SECRET_FILE = os.environ.get("KOMAINU_HEARTBEAT_SECRET_FILE", "~/.config/komainu/@NAME@.secret")


def heartbeat(status="ok", **details):
    """Details: message, duration_ms, exit_code, run_id. Raises when no watchdog took it."""
    secret = pathlib.Path(SECRET_FILE).expanduser().read_bytes().strip()
    # Every try sends the same body: 409 means that it had counted, or that a later one counts already.
    body = json.dumps({"time": round(time.time(), 6), "status": status, **details}).encode()
    signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": signature}
    for pause in (1, 2, 4, 8, None):
        trouble = []
        for watchdog in WATCHDOGS:
            try:
                code, words = post(watchdog.strip(), body, headers)
            except (OSError, http.client.HTTPException) as error:
                trouble.append(f"{watchdog}: {error}")
                continue
            if code in (200, 409):
                return
            trouble.append(f"{watchdog}: {code} {words}")
            if code != 429 and code < 500:
                raise RuntimeError(trouble[-1])
        if pause:
            time.sleep(pause)
    raise RuntimeError("; ".join(trouble))


def post(watchdog, body, headers):
    """Follows no redirect: a redirected POST would arrive as a GET, and its 200 would say nothing."""
    url = urllib.parse.urlsplit(watchdog)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.netloc, timeout=10)
    try:
        connection.request("POST", url.path.rstrip("/") + "/heartbeats/@NAME@", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


if __name__ == "__main__":
    message = {"message": sys.argv[2]} if len(sys.argv) > 2 else {}
    heartbeat(*sys.argv[1:2], **message)
