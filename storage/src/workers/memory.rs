//! Worker ids in memory, for tests: with the process they are gone.

use super::{WorkerRegister, WorkerRow};
use crate::{replica::RegisterError, worker::WorkerId};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;

/// See the module. It answers always and at once.
#[derive(Debug, Default)]
pub struct MemoryWorkers {
    rows: Mutex<HashMap<WorkerId, WorkerRow>>,
}

#[async_trait]
impl WorkerRegister for MemoryWorkers {
    async fn read(&self, worker: WorkerId) -> Result<Option<WorkerRow>, RegisterError> {
        Ok(self.rows.lock().get(&worker).copied())
    }

    async fn write(
        &self,
        worker: WorkerId,
        seen: Option<WorkerRow>,
        row: WorkerRow,
    ) -> Result<bool, RegisterError> {
        let mut rows = self.rows.lock();
        let is_same = rows.get(&worker).copied() == seen;
        if is_same {
            rows.insert(worker, row);
        }
        Ok(is_same)
    }
}
