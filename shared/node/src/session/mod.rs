//! The exchange: one stream per Spoke, both ledgers, as `PROTOCOL.md` numbers it.
//!
//! - [`machine`]: the pure state machine; it turns events into actions.
//! - [`standing`]: what two nodes' claims about two ledgers mean, at the handshake.
//! - [`driver`]: carries each action out to its end before the next event.
//! - [`server`]: the Hub's end of the stream. [`client`]: the Spoke's end, with reconnection.
//! - [`peers`]: who is connected.

pub mod client;
pub mod driver;
pub mod machine;
pub mod peers;
pub mod server;
pub mod standing;

/// The protocol version of this program. Version 1 is answered for ever.
pub const PROTOCOL_VERSION: u32 = 1;
/// Batches per direction that may be unanswered.
pub const WINDOW: u32 = 4;
/// Largest frame, in bytes encoded.
pub const FRAME_BYTES_MAX: usize = 1_024 * 1_024;
/// Frames that wait for the network; more than the window and its answers ever need.
pub const OUTBOUND_FRAMES_MAX: usize = 128;
/// Refusals told per batch; the rest is on the status page.
pub const NACKS_PER_BATCH_MAX: usize = 16;

/// What this program says of itself in Hello and Welcome.
pub fn build() -> String {
    format!("raccordo/{}", env!("CARGO_PKG_VERSION"))
}
