// One stop of the keyboard for each row of bars, arrows within it, and the page anew each minute. Everything works without this.
(() => {
  "use strict";
  for (const row of document.querySelectorAll("[data-roving]")) {
    const bars = [...row.children];
    bars.forEach((bar, at) => { bar.tabIndex = at === bars.length - 1 ? 0 : -1; });
  }
  document.addEventListener("keydown", (event) => {
    const bar = document.activeElement;
    const step = { ArrowLeft: "previousElementSibling", ArrowRight: "nextElementSibling" }[event.key];
    if (!step || !bar?.parentElement?.matches("[data-roving]")) return;
    const next = bar[step];
    if (!next) return;
    bar.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    event.preventDefault();
  });
  // As fresh as it can be, and never away under somebody's hands.
  const isRead = () => document.querySelector("details[open]") || (document.activeElement && document.activeElement !== document.body);
  if (document.querySelector("[role=status]")) setInterval(() => { if (!document.hidden && !isRead()) location.reload(); }, 60000);
})();
