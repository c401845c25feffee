// Keeps a page of the dashboard fresh: the server says that something changed, and the page fetches itself anew.
// Without this script everything works, and the page reloads each half minute.
"use strict";

(() => {
  // A wall comes here from a watchdog that is gone: what stands in the fragment signs it in, once.
  const TICKET = "#ticket=";
  if (location.hash.startsWith(TICKET)) {
    const text = location.hash.slice(TICKET.length);
    const form = document.querySelector("form.stacked");
    history.replaceState(null, "", location.pathname + location.search);
    if (form) {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name: "ticket", value: text });
      form.append(field);
      form.submit();
      return;
    }
  }
  if (!document.querySelector("[data-live]")) return;

  const SHORTEST_PAUSE = 1000;
  const LONGEST_PAUSE = 15000;
  const FULL_EVERY = 10000;
  let stream = null;
  let waiting = null;
  let busy = false;
  let missed = false;
  let drawnAt = Date.now();
  let failingSince = null;

  const words = (milliseconds) => {
    const s = Math.max(0, Math.floor(milliseconds / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    const minutes = Math.floor(s / 60) % 60;
    if (s < 86400) return `${Math.floor(s / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
    const hours = Math.floor(s / 3600) % 24;
    return s < 864000 && hours ? `${Math.floor(s / 86400)} d ${hours} h` : `${Math.floor(s / 86400)} d`;
  };

  // Of a row of bars one is a stop for the tabulator; the arrows lead to the others.
  const rove = () => {
    for (const row of document.querySelectorAll("[data-roving]")) {
      const bars = [...row.querySelectorAll("[tabindex]")];
      if (!bars.some((bar) => bar === document.activeElement)) bars.forEach((bar, at) => { bar.tabIndex = at === bars.length - 1 ? 0 : -1; });
    }
  };
  document.addEventListener("keydown", (event) => {
    const bar = document.activeElement;
    const row = bar?.closest?.("[data-roving]");
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!row || !step) return;
    const bars = [...row.querySelectorAll("[tabindex]")];
    const next = bars[bars.indexOf(bar) + step];
    if (!next) return;
    bar.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    event.preventDefault();
  });

  // The server's clock may differ from this one: ages count from when the page was drawn.
  const skew = () => {
    const drawn = document.querySelector("[data-live] time");
    return drawn ? drawnAt - Date.parse(drawn.dateTime) : 0;
  };

  const tick = () => {
    const now = Date.now() - skew();
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const at = Date.parse(time.dateTime);
      if (!Number.isNaN(at)) time.textContent = `${words(now - at)} ago`;
      const local = new Date(at).toLocaleString();
      if (time.title && time.title !== local) time.title = local;
    }
    if (failingSince) trouble(true);
  };

  const isInUse = (part) => part.contains(document.activeElement) && (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) || document.activeElement.closest("[data-roving]") || part.querySelector("details[open]"));

  const focusIn = (part) => {
    const active = document.activeElement;
    if (!part.contains(active) || active === part) return null;
    return active.id ? `#${CSS.escape(active.id)}` : active.getAttribute("href") ? `[href="${CSS.escape(active.getAttribute("href"))}"]` : null;
  };

  const put = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!next || isInUse(part) || next.innerHTML === part.innerHTML) continue;
      const focused = focusIn(part);
      part.replaceChildren(...next.childNodes);
      if (focused) part.querySelector(focused)?.focus({ preventScroll: true });
    }
    if (fresh.title) document.title = fresh.title;
    drawnAt = Date.now();
    rove();
    tick();
  };

  // What changes each second is not read aloud each second.
  const trouble = (isGone) => {
    document.body.classList.toggle("stale", isGone);
    let box = document.getElementById("trouble");
    if (!isGone) { box?.remove(); failingSince = null; return; }
    failingSince ??= Date.now();
    if (!box) {
      box = document.createElement("div");
      box.id = "trouble";
      box.className = "notice refused";
      const gone = document.createElement("span");
      gone.setAttribute("role", "alert");
      gone.textContent = `This watchdog does not answer since ${new Date(failingSince).toLocaleTimeString()}. `;
      box.append(gone, document.createElement("span"));
      document.getElementById("main").prepend(box);
    }
    box.lastChild.textContent = `What stands here is ${words(Date.now() - drawnAt)} old.`;
  };

  // A wall goes on at another watchdog. Who restarts within this time is waited for.
  const GONE_AFTER = 6000;
  const TICKETS_EVERY = 20000;
  const TICKETS_LAST = 240000;
  const others = JSON.parse(document.body.dataset.others ?? "[]");
  const tickets = new Map();

  const getTickets = async () => {
    for (const { id } of failingSince ? [] : others) {
      try {
        const answer = await fetch("/watch/wall/tickets", { method: "POST", body: new URLSearchParams({ watchdog: id }), signal: AbortSignal.timeout(5000) });
        if (answer.ok) tickets.set(id, { text: await answer.text(), at: Date.now() });
      } catch { return; }
    }
  };

  const goOn = async () => {
    if (!failingSince || Date.now() - failingSince < GONE_AFTER) return;
    for (const { id, origin } of others) {
      const ticket = tickets.get(id);
      if (!ticket || Date.now() - ticket.at > TICKETS_LAST) continue;
      try { await fetch(`${origin}/status`, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(3000) }); } catch { continue; }
      location.assign(`${origin}/watch/sign-in?next=/watch/wall${TICKET}${ticket.text}`);
      return;
    }
  };

  const refresh = async () => {
    waiting = null;
    if (busy) { missed = true; return; }
    busy = true;
    const beganAt = Date.now();
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { "x-komainu-part": "all" }, cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      put(await answer.text());
      trouble(false);
    } catch {
      trouble(true);
      await goOn();
    } finally {
      busy = false;
      // A slow server is asked less often.
      const pause = Math.min(LONGEST_PAUSE, Math.max(SHORTEST_PAUSE, 5 * (Date.now() - beganAt)));
      if (missed || failingSince) { missed = false; later(pause); }
    }
  };

  // Many who look at the same do not all ask at the same moment.
  const later = (pause) => { waiting ??= setTimeout(refresh, pause + Math.random() * 500); };

  const listen = () => {
    if (stream || !document.querySelector("[data-live]")) return;
    stream = new EventSource("/watch/events");
    let first = true;
    stream.addEventListener("change", () => { if (!first) later(0); first = false; });
    stream.onerror = () => { if (!failingSince) later(SHORTEST_PAUSE); };
  };

  // A browser has six connections for a host: pages that nobody looks at hold none.
  const look = () => {
    if (document.hidden) { stream?.close(); stream = null; return; }
    listen();
    if (Date.now() - drawnAt > FULL_EVERY) later(0);
  };

  document.addEventListener("visibilitychange", look);
  setInterval(() => { tick(); if (!document.hidden && Date.now() - drawnAt > FULL_EVERY) later(0); }, 1000);
  // On a phone the sections are a line that is longer than the screen.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  if (others.length) { getTickets(); setInterval(getTickets, TICKETS_EVERY); }
  rove();
  tick();
  look();
})();
