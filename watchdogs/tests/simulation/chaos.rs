//! What goes wrong next, by the weather of the run. What operators do is in `operator`.

use super::events::{Event, SEC};
use super::troubles::{ALL, ASIDE};
use super::weather::Action;
use super::world::World;

impl World {
    /// Something goes wrong, and the next thing is scheduled.
    pub(crate) fn act(&mut self) {
        if self.phase != super::healing::Phase::Chaos {
            return;
        }
        let action = self.weather.next(&mut self.rng);
        self.trace(&action);
        self.perform_action(action);
        let pause = self.rng.between(self.weather.pause / 10, 2 * self.weather.pause);
        self.schedule(self.now + pause, Event::Chaos);
    }

    fn perform_action(&mut self, action: Action) {
        match action {
            Action::CrashDog => {
                let dog = self.pick_dog();
                self.crash(dog);
            }
            Action::CrashLeader => self.crash(self.leader()),
            Action::CrashNode => {
                let node = self.pick_node();
                self.crash(node);
            }
            Action::RestartDog => self.restart_dog(),
            Action::RestartNode => self.restart_node(),
            Action::TwinDog => self.twin_dog(),
            Action::TwinNode => self.twin_node(),
            Action::StopDog => {
                let dog = self.pick_dog();
                self.stop(dog);
            }
            Action::StopNode => {
                let node = self.pick_node();
                self.stop(node);
            }
            Action::PauseDog => {
                let dog = self.pick_dog();
                self.pause(dog, 25);
            }
            Action::PauseLeader => self.pause_leader(),
            Action::PauseNode => {
                let node = self.pick_node();
                self.pause(node, 30);
            }
            Action::Stall => self.stall(),
            Action::SlowRuns => self.slow_runs(),
            Action::Cut => self.cut_two(),
            Action::CutFromDatabase => self.cut_from_database(),
            Action::CutOff => self.cut_off(),
            Action::Worldless => self.lose_world(),
            Action::HealNetwork => self.network.heal(),
            Action::LoseLock => self.lose_lock(),
            Action::Outage => self.break_database(),
            Action::SlowDatabase => self.server.slow_until = self.now + self.rng.between(1, 8) * SEC,
            Action::ClockJump => self.jump_clock(),
            Action::TailLoss => self.plan_tail_loss(),
            Action::Operator => self.operate(),
            Action::Trouble => self.begin_trouble(&ALL),
            Action::AsideTrouble => self.begin_trouble(&ASIDE),
            Action::FarDatabase => self.move_database_away(),
            Action::AddNode => self.add_node(),
            Action::NodeClockJump | Action::RetireNode | Action::Relabel => self.change_node(action),
            Action::VanishNode | Action::MuteNode => self.cut_node(action == Action::MuteNode),
            Action::CutDog => self.cut_dog(),
        }
    }

    fn change_node(&mut self, action: Action) {
        let node = self.rng.index(self.setup.nodes);
        if action == Action::NodeClockJump {
            self.jump_node_clock(node);
        } else if action == Action::RetireNode {
            self.retire_node(node);
        } else {
            self.relabel(node, false);
        }
    }

    pub(crate) fn trace(&self, what: &impl std::fmt::Debug) {
        if self.is_tracing {
            println!("{:>9.3} {what:?}", std::time::Duration::from_micros(self.now).as_secs_f64());
        }
    }
}
