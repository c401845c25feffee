"use strict";
// How old the last push is. Kuma asks its own wall clock and the beat's time, which is of a host whose clock may be
// another, or was set since: a beat in the future would keep its monitor from ever being late.

/**
 * The beat before a run's, as Kuma may judge it: in a run that looks whether a push is overdue, so old as it was heard
 * here, or as the run, where none was: whoever pushes has an interval from then on, for nobody could before.
 */
function aged(beat, { run, isPush }, clock) {
  if (!beat || !run || isPush || run.bean.type !== "push") return beat;
  const at = new Date(clock.wall() - (clock.now() - run.heardAt));
  beat.time = at.toISOString().slice(0, 23).replace("T", " ");
  return beat;
}

module.exports = { aged };
