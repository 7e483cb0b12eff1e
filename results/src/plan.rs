//! Plan.

/// Placeholder while the gate is measured.
pub struct PredictionRecord;
