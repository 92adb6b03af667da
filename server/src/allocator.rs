//! The allocator, and how memory that is no longer needed goes back to the system.

use std::time::Duration;

use mimalloc::MiMalloc;

/// Against the system's allocator it gives about a tenth more requests a second.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long mimalloc keeps a page that is free, and so how often there may be some to give back.
const EVERY: Duration = Duration::from_secs(1);
/// More than the allocator keeps for later: freed, it goes back at once. It is never touched, and so takes no memory.
const PAGE: usize = 1 << 20;

/// Lets the allocator give back what is free; runs until dropped. It looks for that only when a page is freed, so a server that has become idle
/// would keep what its busiest moment took.
pub async fn give_back_regularly() {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        drop(std::hint::black_box(Vec::<u8>::with_capacity(PAGE)));
    }
}
