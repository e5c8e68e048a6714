//! How far this process's clock is from the database's, which all processes share (ab_57).

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Statement};

use crate::{
    platform::Clock,
    store::{Result, Store},
};

/// A round trip that took longer says too little about when the database read its clock.
const LONGEST_TRIP: TimeDelta = TimeDelta::seconds(1);

impl Store {
    /// Measures how far the clock is ahead of the database's, and keeps it for what is leased; `None` where the answer took too long to tell. The embedded database has the clock of the
    /// machine that this process runs on, and is not asked.
    ///
    /// # Errors
    /// The database does not answer.
    pub(crate) async fn measure_skew(&self, clock: &Clock) -> Result<Option<TimeDelta>> {
        if self.embedded() {
            return Ok(Some(TimeDelta::zero()));
        }
        let before = clock.now();
        let backend = self.read.backend();
        let asked = Statement::from_string(backend, "SELECT clock_timestamp() AS time");
        let Some(row) = self.read.0.query_one_raw(asked).await? else {
            return Ok(None);
        };
        let theirs: DateTime<Utc> = row.try_get("", "time")?;
        if clock.now() - before > LONGEST_TRIP {
            return Ok(None);
        }
        let ahead = clock.ahead_of(theirs, before);
        self.skew.set(ahead);
        Ok(Some(ahead))
    }
}
