//! What each vendor is sent, as golden payloads, and what is made of what each vendor answers: local servers behave as the
//! vendors' documentation says, and a real mail server takes real mail.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails, and says so at the line that is wrong"
)]

mod golden;
mod letters;
mod mail;
mod notices;
mod presets;
mod pushbullet;
mod server;
mod slack;
mod smtpd;
mod templates;
mod webhook;
