//! Behind one address somebody else chooses the server: where the connections that are made lead, and when to follow. Pure.
//!
//! Where two in a row lead to another server than the one that is used, or one to the server that the leader's row names, that one
//! is used from then on, and what is left on the former one goes there too. Between two moves there is a pause that grows: a
//! proxy that spreads connections would otherwise have them made anew for ever.

use std::time::Duration;

use komainu_watchdogs::time::Mono;

/// Behind one address: between the first move to another server and the next; twice as long after each.
const REST: Duration = Duration::from_secs(10);
/// At most so often twice as long: ten minutes.
const MOST_DOUBLED: u32 = 6;
/// After so long without a move the next one is a first.
const CALM: Duration = Duration::from_secs(1_800);
/// Connections in a row that lead to the same other server: one may be a proxy's last to a server that it has given up.
const IN_A_ROW: u32 = 2;

/// Where the only address leads.
#[derive(Default)]
pub(super) struct Way {
    /// The server that the leader's row names.
    leaders: Option<String>,
    /// The last connections led to this one, and so many in a row.
    elsewhere: Option<(String, u32)>,
    /// The last move, and how many there were without a calm between them.
    moved: Option<(Mono, u32)>,
}

impl Way {
    /// A connection led to another server than the one that is used: whether that one is to be used from here on.
    pub(super) fn leads_to(&mut self, name: &str, now: Mono) -> bool {
        let before = self.elsewhere.take().filter(|(known, _)| known == name).map_or(0, |(_, times)| times);
        let is_certain = before + 1 >= IN_A_ROW || self.leaders.as_deref() == Some(name);
        if !is_certain || !self.may_move(now) {
            self.elsewhere = Some((name.to_owned(), before + 1));
            return false;
        }
        let moves = self.moved.filter(|(at, _)| now.since(*at) < CALM).map_or(0, |(_, moves)| moves);
        self.moved = Some((now, moves.saturating_add(1)));
        true
    }

    /// The leader uses this server, its row says.
    pub(super) fn leaders_use(&mut self, leaders: Option<&str>) {
        self.leaders = leaders.map(str::to_owned);
    }

    /// Some connection leads elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// A connection led to the server that is used.
    pub(super) fn arrive(&mut self) {
        self.elsewhere = None;
    }

    fn may_move(&self, now: Mono) -> bool {
        let Some((at, moves)) = self.moved else { return true };
        now.since(at) >= REST * 2_u32.pow(moves.saturating_sub(1).min(MOST_DOUBLED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_spreads_connections_has_them_made_anew_ever_less() {
        let mut way = Way { moved: Some((Mono::secs(100), 1)), ..Way::default() };
        let mut moves = vec![];
        for second in 100..1_000 {
            if way.leads_to("g1", Mono::secs(second)) {
                moves.push(second);
            }
        }
        assert_eq!(moves, [110, 130, 170, 250, 410, 730], "a proxy that spreads costs ever less");
    }
}
