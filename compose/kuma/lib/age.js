"use strict";
// How old a beat is. Kuma asks its own wall clock and the beat's time, which is of a host whose clock may be another, or
// was set since: a push in the future would keep its monitor from ever being late, and a clock that is set back by an hour
// while a run lasts would keep the next one waiting for that hour.

/**
 * The beat before a run's, as Kuma may judge it: in a run that looks whether a push is overdue, so old as it was heard
 * here, or as the moment from which on this node could take pushes of it, where none was: whoever pushes has an interval
 * from then on, for nobody could before. `ableAt`: when this node's loop last stood still.
 */
function aged(beat, { run, isPush }, clock, ableAt) {
  if (!beat || !run || isPush || run.bean.type !== "push") return beat;
  beat.time = wallTime(Math.max(run.heardAt, ableAt), clock);
  return beat;
}

/** A run's own beat, which is stored: from its time on Kuma reckons when the next run is due. */
function rebased(beat, { run, isPush }, clock) {
  if (run && !isPush && run.begunAt !== undefined) beat.time = wallTime(run.begunAt, clock);
}

/** What the wall clock would have said then, had it been as it is now. */
function wallTime(at, clock) {
  return new Date(clock.wall() - (clock.now() - at)).toISOString().slice(0, 23).replace("T", " ");
}

module.exports = { aged, rebased };
