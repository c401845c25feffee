//! What a watchdog finds by reading what others wrote, and makes incidents of: tasks beside the driver.

pub mod aside;
pub mod capacity;
pub mod certificates;
pub mod leftover;
pub mod monitors;
pub mod opinions;
pub mod own_certificate;
pub mod servers;
