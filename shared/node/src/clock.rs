//! Clocks: the system's, one that tests move by hand, and the business clock of a test federation.
//!
//! Two times are told apart everywhere. The *system* time rules what is between machines: TLS,
//! expiry of tokens and bundles, sessions. The *business* time stamps entries and cosignatures; in a
//! real federation it is the system time, in a test federation it is set forward by hand.

use raccordo_model::timestamp::Timestamp;
use raccordo_store::{Db, StoreError, Tx};
use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

pub(crate) const GET: &str = "SELECT value FROM local_setting WHERE key = $1";
pub(crate) const PUT: &str = "INSERT INTO local_setting (key, value) VALUES ($1, $2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// The row of `local_setting` that keeps the business clock: microseconds ahead of the system clock.
const SETTING: &str = "business_clock";

/// Tells the time.
pub trait Clock: Send + Sync + Debug {
    /// The instant.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's clock"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved: for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Shows another instant, earlier or later.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::SeqCst);
    }

    /// Moves forward by `microseconds`.
    pub fn advance(&self, microseconds: i64) {
        self.0.fetch_add(microseconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Why the business clock was not set.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// It only moves forward: what was recorded must not come to lie in the future.
    #[error("the business clock shows {now} and only moves forward; {asked} is earlier")]
    Backwards {
        /// What it shows.
        now: Timestamp,
        /// What was asked for.
        asked: Timestamp,
    },
    /// The new instant could not be stored; the clock was not moved.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The clock of a test federation: runs with a base clock, ahead or behind by an offset that only grows.
#[derive(Debug)]
pub struct BusinessClock {
    base: Arc<dyn Clock>,
    offset_us: AtomicI64,
}

impl BusinessClock {
    /// A clock that shows `start` now and runs on with `base`.
    pub fn starting_at(base: Arc<dyn Clock>, start: Timestamp) -> Self {
        let offset = start.0.saturating_sub(base.now().0);
        Self {
            base,
            offset_us: AtomicI64::new(offset),
        }
    }

    /// The clock as it was kept; `None` when none was ever kept.
    pub async fn load(db: &Db, base: Arc<dyn Clock>) -> Result<Option<Self>, StoreError> {
        let mut tx = db.read().await?;
        let row: Option<(String,)> = tx.query(GET).bind(SETTING.to_owned()).fetch_optional().await?;
        let Some((text,)) = row else { return Ok(None) };
        let offset = text.parse().map_err(|_| StoreError::Corrupt {
            table: "local_setting",
            column: "value",
            key: SETTING.into(),
        })?;
        Ok(Some(Self {
            base,
            offset_us: AtomicI64::new(offset),
        }))
    }

    /// Keeps the clock, so that it goes on after a restart.
    pub async fn save(&self, tx: &mut Tx) -> Result<(), StoreError> {
        save_offset(tx, self.offset_us.load(Ordering::SeqCst)).await
    }

    /// Moves the clock forward to `to` and keeps it. If we crash between the commit and the move,
    /// the next start shows the new instant.
    pub async fn set(&self, db: &Db, to: Timestamp) -> Result<(), ClockError> {
        // The write transaction is the lock: two callers stand in line here.
        let mut tx = db.write().await?;
        let offset = self.offset_for(to)?;
        save_offset(&mut tx, offset).await?;
        tx.commit().await?;
        self.offset_us.fetch_max(offset, Ordering::SeqCst);
        Ok(())
    }

    fn offset_for(&self, to: Timestamp) -> Result<i64, ClockError> {
        let now = self.now();
        if to < now {
            return Err(ClockError::Backwards { now, asked: to });
        }
        Ok(to
            .0
            .saturating_sub(self.base.now().0)
            .max(self.offset_us.load(Ordering::SeqCst)))
    }
}

impl Clock for BusinessClock {
    fn now(&self) -> Timestamp {
        Timestamp(
            self.base
                .now()
                .0
                .saturating_add(self.offset_us.load(Ordering::SeqCst)),
        )
    }
}

async fn save_offset(tx: &mut Tx, offset_us: i64) -> Result<(), StoreError> {
    tx.query(PUT)
        .bind(SETTING.to_owned())
        .bind(offset_us.to_string())
        .execute()
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_business_clock_runs_on_and_only_moves_forward() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}", folder.path().join("a.db").display()))
            .await
            .unwrap();
        db.migrate(crate::account::LOCAL).await.unwrap();
        let base = Arc::new(ManualClock::new(Timestamp::from_seconds(1_000)));
        assert!(BusinessClock::load(&db, base.clone()).await.unwrap().is_none());

        let clock = BusinessClock::starting_at(base.clone(), Timestamp::from_seconds(50));
        assert_eq!(clock.now(), Timestamp::from_seconds(50));
        base.advance(7_000_000);
        assert_eq!(clock.now(), Timestamp::from_seconds(57));

        clock.set(&db, Timestamp::from_seconds(90)).await.unwrap();
        let error = clock.set(&db, Timestamp::from_seconds(89)).await.unwrap_err();
        assert!(matches!(error, ClockError::Backwards { .. }), "{error}");
        assert_eq!(clock.now(), Timestamp::from_seconds(90));

        base.advance(1_000_000);
        let again = BusinessClock::load(&db, base).await.unwrap().unwrap();
        assert_eq!(again.now(), Timestamp::from_seconds(91));
    }
}
