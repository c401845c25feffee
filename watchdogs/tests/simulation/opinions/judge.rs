//! What must hold of second opinions, whatever happens.

use komainu_watchdogs::opinion::{Remark, Teller, Wish};

use super::world::{INTERVAL, Monitor, SAMPLE_EACH, TICK, World};

/// A look, a quarter of a minute, the same once more where the clock was set back meanwhile, and some turns.
const LONGEST_SILENCE: i64 = 42_000;

/// From a moment at which all see it down: a look that ran before, the next one (20 s later), a claim that is taken over, and some turns.
const LONGEST_DOUBT: i64 = 45_000;

/// A round of looks, three intervals, and the time of three looks.
const LONGEST_LIE: i64 = SAMPLE_EACH + 60_000 + 3 * 27_000;

/// A claim of one who was killed (7 s), a look by whoever hears nobody and by one who hears a majority (6 s each), and some turns.
const LONGEST_HEARING: i64 = 25_000;

/// For how long what is judged has been so, while somebody was there who could have changed it.
#[derive(Clone, Copy, Debug, Default)]
struct Spans {
    silent: i64,
    doubted: i64,
    lied: i64,
    stale: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Judge {
    spans: Vec<Spans>,
    /// A majority has heard each other for so long.
    hearing: i64,
    pub(crate) answers: u64,
    pub(crate) disputes: u64,
    pub(crate) pages: u64,
    pub(crate) late: u64,
    /// Questions that one who heard nobody left to others.
    pub(crate) passed: u64,
}

impl Judge {
    pub(crate) fn new(monitors: usize) -> Self {
        Self { spans: vec![Spans::default(); monitors], ..Self::default() }
    }

    /// Somebody went away with a question: what comes after it counts anew.
    pub(crate) fn note_fault(&mut self) {
        for spans in &mut self.spans {
            (spans.doubted, spans.lied) = (0, 0);
        }
        self.note_change();
    }

    /// Who hears whom is another matter now.
    pub(crate) fn note_change(&mut self) {
        self.hearing = 0;
    }

    /// Stored times stand elsewhere now.
    pub(crate) fn note_jump(&mut self) {
        self.spans.fill(Spans::default());
    }

    pub(crate) fn note_target(&mut self, at: usize, _: i64) {
        self.spans[at] = Spans::default();
    }

    /// A page that a majority is said to have confirmed was confirmed by one, about this change.
    pub(crate) fn invariant_no_page_without_a_majority(
        &mut self,
        monitor: &Monitor,
        remark: Remark,
    ) -> Result<(), String> {
        self.pages += 1;
        self.late += u64::from(remark == Remark::Late);
        if monitor.wish != Wish::Require || remark != Remark::Seen {
            return Ok(());
        }
        let row = monitor.row.as_ref().ok_or("a page without any answer")?;
        if !row.was_failing {
            return Err("a page that no majority confirmed".to_owned());
        }
        if row.record.change != monitor.change {
            return Err("a page by what was said of another change".to_owned());
        }
        Ok(())
    }

    /// Where a majority has heard each other for long, nobody is told that too few could look.
    pub(crate) fn invariant_nobody_alone_undoes_a_second_opinion(
        &self,
        monitor: &Monitor,
        remark: Remark,
    ) -> Result<(), String> {
        let is_undone = monitor.wish == Wish::Require && remark == Remark::Unclear;
        if is_undone && self.hearing > LONGEST_HEARING {
            return Err(format!("a page without an opinion, and a majority heard each other for {} ms", self.hearing));
        }
        Ok(())
    }

    fn judge(&mut self, at: usize, monitor: &Monitor, (is_fair, steps): (bool, i64)) -> Result<(), String> {
        let spans = &mut self.spans[at];
        let count = |span: &mut i64, holds: bool| *span = if holds { *span + steps } else { 0 };
        let is_told = monitor.page.is_some() || (monitor.dispute && monitor.wish == Wish::Require);
        count(&mut spans.silent, monitor.says_down && monitor.teller != Teller::Kuma && !is_told);
        if spans.silent > LONGEST_SILENCE {
            return Err(format!("monitor {at} is down and nobody is told for {} ms", spans.silent));
        }
        let all_fail = monitor.fails_for.iter().all(|fails| *fails);
        let is_doubted = is_fair && monitor.wish == Wish::Require && monitor.says_down && all_fail;
        count(&mut spans.doubted, is_doubted && monitor.teller != Teller::Kuma && monitor.page.is_none());
        if spans.doubted > LONGEST_DOUBT {
            return Err(format!("all see monitor {at} down and nobody is paged for {} ms", spans.doubted));
        }
        let is_lie = is_fair && monitor.wish != Wish::Off && !monitor.says_down && all_fail;
        count(&mut spans.lied, is_lie && !monitor.dispute);
        if spans.lied > LONGEST_LIE {
            return Err(format!(
                "its node calls monitor {at} up, nobody does, and nobody is told for {} ms",
                spans.lied
            ));
        }
        let none_fail = monitor.fails_for.iter().all(|fails| !*fails);
        count(&mut spans.stale, is_fair && monitor.dispute && !monitor.says_down && none_fail);
        if spans.stale > LONGEST_DOUBT {
            return Err(format!("monitor {at} is up for all, and still disputed"));
        }
        Ok(())
    }
}

impl World {
    /// What holds at this moment.
    pub(crate) fn judge_now(&mut self) -> Result<(), String> {
        let is_watched = self.is_database_up && (0..self.dogs.len()).any(|dog| self.is_running(dog));
        if !is_watched {
            self.judge.hearing = 0;
            return Ok(());
        }
        // Only then can they agree at all.
        let is_able = |dog: &usize| self.is_running(*dog) && !self.dogs[*dog].is_isolated && !self.dogs[*dog].is_deaf;
        let is_fair = (0..self.dogs.len()).all(|dog| is_able(&dog));
        let is_majority = 2 * (0..self.dogs.len()).filter(is_able).count() > self.dogs.len();
        self.judge.hearing = if is_majority { self.judge.hearing + TICK } else { 0 };
        for at in 0..self.monitors.len() {
            let monitor = self.monitors[at].clone();
            self.judge.judge(at, &monitor, (is_fair, TICK))?;
        }
        debug_assert!(INTERVAL.as_secs() == 20, "the bounds are made for it");
        Ok(())
    }
}
