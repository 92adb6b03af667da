//! The fake provider as a process of its own, on one thread.

use std::io;
use std::net::SocketAddr;

use clap::Parser;
use parlor_bench::clock::raise_open_files_limit;
use parlor_bench::fake::FakeUpstream;

/// A fake OpenAI-compatible provider on the loopback; the model's name carries the behaviour.
#[derive(Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 9100)]
    port: u16,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        FakeUpstream::bind(address).await?.run().await;
        Ok(())
    })
}
