"""Reads a status page as programs do that exist: feedparser its feeds, the Prometheus exporter of status pages its summary.

Arguments: the page's address, a folder of its own. Prints one JSON object.
"""

import json
import os
import pathlib
import sys
import tempfile

import feedparser

page = sys.argv[1]
feeds = {}
for name in ["feed.atom", "feed.rss"]:
    feed = feedparser.parse(f"{page}/{name}")
    entries = [[entry.title, entry.link, entry.summary, bool(entry.updated_parsed)] for entry in feed.entries]
    feeds[name] = {"is_faulty": bool(feed.bozo), "version": feed.version, "title": feed.feed.title, "entries": entries}

# It reads its settings where it stands, when it is imported, and keeps what it read there.
os.chdir(tempfile.mkdtemp(dir=pathlib.Path(sys.argv[2])))
services = {"shop": {"url": f"{page}/api/v2/summary.json", "name": "Shop"}}
pathlib.Path("services.json").write_text(json.dumps(services))
from statuspage_prometheus_exporter.service_checker import check_status_page_service  # noqa: E402

read = check_status_page_service("shop", services["shop"])
fields = ["success", "status", "raw_status", "incident_metadata", "maintenance_metadata", "component_metadata"]
print(json.dumps({"feeds": feeds, "exporter": {field: read.get(field) for field in fields}}))
