//! The body of a push: no bytes bring the parser down, and what it understood, the sender says in the same words.
#![no_main]

use komainu::heartbeat::body;
use komainu::sender::push::{Push, Status};
use komainu_watchdogs::heartbeat::PushStatus;
use libfuzzer_sys::fuzz_target;

/// Beyond it (the year 2242) a double no longer tells two microseconds apart.
const EXACT_US: i64 = (1 << 33) * 1_000_000;

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = body::parse(bytes) else { return };
    if read.push.time_us >= EXACT_US {
        return;
    }
    let status = match read.push.status {
        PushStatus::Ok => Status::Ok,
        PushStatus::Start => Status::Start,
        PushStatus::Fail => Status::Fail,
    };
    let said = Push {
        time_us: read.push.time_us,
        status,
        message: read.message.clone(),
        duration_ms: read.duration_ms.and_then(|ms| u64::try_from(ms).ok()),
        exit_code: read.exit_code,
        run_id: read.push.run_id.clone(),
    };
    assert_eq!(body::parse(&said.body()), Ok(read));
});
