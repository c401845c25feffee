"use strict";
// How old a beat is. Kuma asks its own wall clock and the beat's time, which is of a host whose clock may be another, or
// was set since: a push in the future would keep its monitor from ever being late, and a clock that is set back by an hour
// while a run lasts would keep the next one waiting for that hour.

// A push that is due so shortly before or after a stall may have been sent within it.
const NEAR = 2000;
// So many stalls are remembered.
const MOST_STALLS = 1_024;
// So many pushes in a row may fall into stalls: a job that is dead is told of all the same.
const MOST_EXCUSES = 2;

/**
 * The beat before a run's, as Kuma may judge it: in a run that looks whether a push is overdue, so old as it was heard
 * here, or as the moment from which on this node could take pushes of it, where none was: whoever pushes has an interval
 * from then on, for nobody could before.
 */
function aged(beat, { run, isPush }, clock, stalls) {
  if (!beat || !run || isPush || run.bean.type !== "push") return beat;
  beat.time = wallTime(stalls.waitsSince(run.heardAt, run.bean.interval * 1000), clock);
  return beat;
}

/** When this node's loop stood still, as far back as is remembered. */
class Stalls {
  constructor() {
    this.all = [];
  }

  note(from, to) {
    this.all.push({ from, to });
    if (this.all.length > MOST_STALLS) this.all.shift();
  }

  /**
   * Since when a push is waited for. What fell due while the loop stood still was given up by who sent it: the next one is
   * waited for from the end of the stall. Any other stall excuses nothing, or a job with a long interval could be dead for
   * ever on a node that stands still now and then.
   */
  waitsSince(heardAt, interval) {
    let [since, excuses] = [heardAt, 0];
    for (const { from, to } of this.all) {
      const dueAt = since + interval;
      const isLost = to > heardAt && dueAt + NEAR >= from && dueAt <= to + NEAR;
      if (isLost && excuses < MOST_EXCUSES) [since, excuses] = [to, excuses + 1];
    }
    return since;
  }
}

/** A run's own beat, which is stored: from its time on Kuma reckons when the next run is due. */
function rebased(beat, { run, isPush }, clock) {
  if (run && !isPush && run.begunAt !== undefined) beat.time = wallTime(run.begunAt, clock);
}

/** What the wall clock would have said then, had it been as it is now. */
function wallTime(at, clock) {
  return new Date(clock.wall() - (clock.now() - at)).toISOString().slice(0, 23).replace("T", " ");
}

module.exports = { aged, rebased, Stalls };
