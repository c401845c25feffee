//! The planner: golden plans that a person can read (`plans/*.txt`), and what holds for every plan.
//!
//! A golden file says of one situation who moves where and why, and what each node runs afterwards. A plan that differs
//! is printed whole; whoever changed it on purpose puts the print in place of the file.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod plans {
    mod golden;
    mod properties;

    mod evening;
    mod field;
}
