-- Monitors, their beats and their assignments: what is settled, and who owns the telling.

-- Monitors that a native node found down and nobody found up since: written with that beat, in its transaction. Whoever
-- runs the monitor by the time somebody looks, this DOWN is komainu's to tell. At most a row per monitor.
CREATE TABLE IF NOT EXISTS komainu_down (
  monitor_id BIGINT NOT NULL PRIMARY KEY,
  node_id VARCHAR(190) NOT NULL,
  at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The native process that writes `komainu_down`; by how much its clock is off the database's, where it stamps beats with
-- the database's time and says so itself; and when the difference of a node's clock last changed at one stroke.
ALTER TABLE node ADD COLUMN noting_incarnation CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL;
ALTER TABLE node ADD COLUMN clock_off_ms BIGINT NULL;
ALTER TABLE node ADD COLUMN clock_stepped_ms BIGINT NULL;

-- 1: the process that renewed this lease last held, on the connection on which it did, a lock that ends with it.
ALTER TABLE node ADD COLUMN had_lock TINYINT(1) NOT NULL DEFAULT 0;

-- Raised by whoever rests on this row without changing it, where locks hold on one server alone (Galera): what two servers
-- write at once, one of them must make anew.
ALTER TABLE node ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;

-- Which database server its process writes to, by the server's own name.
ALTER TABLE node ADD COLUMN server VARCHAR(190) NULL;

-- Whose hand resolved it: what is seen bad afterwards is a new incident, not this one come back.
ALTER TABLE komainu_incident ADD COLUMN IF NOT EXISTS resolved_by VARCHAR(190) NULL;

-- When an incident that is back opened for the first time; `opened_at` is when it opened last. None: only once.
ALTER TABLE komainu_incident ADD COLUMN IF NOT EXISTS first_opened_at BIGINT NULL;

-- The process that began it apart from others, because a node may have been lost over it, and with how many; taken back once
-- that run is over. That no node is to run it any more: 1 until a watchdog has paused it and told people, 2 from then on. And the newest
-- of all beats when a node last started it: what it stored of this monitor since has a larger id.
ALTER TABLE komainu_assignment ADD COLUMN IF NOT EXISTS begun_by CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL;
ALTER TABLE komainu_assignment ADD COLUMN IF NOT EXISTS begun_with INT NULL;
ALTER TABLE komainu_assignment ADD COLUMN IF NOT EXISTS put_aside INT NOT NULL DEFAULT 0;
ALTER TABLE komainu_assignment ADD COLUMN IF NOT EXISTS started_after BIGINT NULL;
CREATE INDEX IF NOT EXISTS komainu_assignment_aside ON komainu_assignment (put_aside);

-- Where it was before, the latest first, one a line: since when, by which generation, why, and which node.
ALTER TABLE komainu_assignment ADD COLUMN IF NOT EXISTS places VARCHAR(400) NOT NULL DEFAULT '';

-- Monitors at whose target a native node cannot look and a stock Kuma can (TLS that OpenSSL alone speaks), and which target that was: with
-- another one the row says nothing. At most a row per monitor.
CREATE TABLE IF NOT EXISTS komainu_only_kuma (
  monitor_id BIGINT NOT NULL PRIMARY KEY,
  url TEXT NULL,
  ignore_tls INT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What a stock node handed over to one of Kuma's notifications (`channel`: 16 hex digits of its configuration's SHA-256) of a change of a
-- monitor: since which stored change, to what, and whether it was handed over completely. Kuma stores the beat after that: whoever
-- takes over from a node that was lost in between would tell it again. At most a row per monitor and notification.
CREATE TABLE IF NOT EXISTS komainu_told (
  monitor_id BIGINT NOT NULL,
  channel CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  since BIGINT NOT NULL,
  status INT NOT NULL,
  is_done INT NOT NULL,
  PRIMARY KEY (monitor_id, channel)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Who tells what a native node found of a monitor with Kuma's notifications: the change (its beat), the process of a stock node that sends
-- Kuma's own messages of it, or `komainu`, since when it has it, and whether it is done. At most a row per monitor.
CREATE TABLE IF NOT EXISTS komainu_relay (
  monitor_id BIGINT NOT NULL PRIMARY KEY,
  beat BIGINT NOT NULL,
  holder CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  at BIGINT NOT NULL,
  is_done INT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Whether the watchdogs are asked what they see before people are told that it is down: `off`, `note`, `require`; NULL: its tags or the
-- configuration say.
ALTER TABLE komainu_monitor ADD COLUMN IF NOT EXISTS second_opinion VARCHAR(10) NULL;

-- What the watchdogs see of a monitor's target while it matters: of which change of its state (its beat; 0: its node calls it up) since when
-- the question waits, how early it comes, when they look next (NULL: not again), which process asks them and when it last said so, what a majority
-- said (`down`, `up`, `split`, `nothing`; NULL: nobody answered yet), in numbers and words, when it last could say something, since when it has
-- seen it down, whether it found no room (0: it did; 1: it waits in line; 2: it did), and which processes left it to others since they heard
-- too few, the last of them at `held_at`. At most a row per monitor.
CREATE TABLE IF NOT EXISTS komainu_opinion (
  monitor_id BIGINT NOT NULL PRIMARY KEY,
  beat BIGINT NOT NULL,
  standing INT NOT NULL,
  asked_at BIGINT NOT NULL,
  due_at BIGINT NULL,
  holder CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
  held_at BIGINT NULL,
  seen VARCHAR(10) NULL,
  votes_bad INT NOT NULL DEFAULT 0,
  votes_of INT NOT NULL DEFAULT 0,
  words TEXT NULL,
  clear_at BIGINT NULL,
  down_since BIGINT NULL,
  line INT NOT NULL DEFAULT 0,
  passed_by TEXT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE INDEX IF NOT EXISTS komainu_opinion_due ON komainu_opinion (due_at);
