//! The rounds of an arm by the rate that was offered.

use super::{ArmRecord, RoundRecord};

impl ArmRecord {
    /// The offered rates, lowest first; one `None` where a backlog was drained.
    pub fn offered_rates(&self) -> Vec<Option<f64>> {
        let mut rates: Vec<Option<f64>> =
            self.rounds.iter().map(|round| round.offered_per_s).collect();
        rates.sort_by(|a, b| a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0)));
        rates.dedup();
        rates
    }

    /// The rounds that count, at one offered rate; none of an arm, or of a rate of it, that is not valid.
    pub fn counting(&self, offered_per_s: Option<f64>) -> Vec<&RoundRecord> {
        let step = self.steps.iter().find(|step| Some(step.offered_per_s) == offered_per_s);
        let valid = self.valid && step.is_none_or(|step| step.valid);
        let rounds = self.rounds.iter().filter(|round| valid && round.counts());
        rounds.filter(|round| round.offered_per_s == offered_per_s).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(number: u32, offered_per_s: Option<f64>, counts: bool) -> RoundRecord {
        let invalid_reason = (!counts).then(|| "late".to_owned());
        RoundRecord { offered_per_s, invalid_reason, ..RoundRecord::new(number, 1, 1, 1.0) }
    }

    #[test]
    fn rounds_are_found_by_their_rate_where_the_rate_counts() {
        let rounds = [(2.0, true), (1.0, true), (2.0, false), (1.0, true), (3.0, false)];
        let rounds =
            (1..).zip(rounds).map(|(number, (rate, counts))| round(number, Some(rate), counts));
        let mut arm = ArmRecord::from_rounds("arm".into(), rounds.collect());
        let numbers = |arm: &ArmRecord, rate| -> Vec<u32> {
            arm.counting(rate).iter().map(|round| round.round).collect()
        };
        assert_eq!(arm.offered_rates(), [Some(1.0), Some(2.0), Some(3.0)]);
        assert_eq!(numbers(&arm, Some(1.0)), [2, 4]);
        assert_eq!(numbers(&arm, Some(2.0)), [0_u32; 0], "half of its rounds do not count");
        assert_eq!(numbers(&arm, None), [0_u32; 0]);
        arm.valid = false;
        assert_eq!(numbers(&arm, Some(1.0)), [0_u32; 0]);
    }

    #[test]
    fn a_drained_backlog_has_no_rate() {
        let arm = ArmRecord::from_rounds("arm".into(), vec![round(1, None, true); 2]);
        assert_eq!((arm.offered_rates(), arm.counting(None).len()), (vec![None], 2));
    }
}
