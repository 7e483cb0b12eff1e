//! The operations of one writer, one after the other.

use rand_chacha::ChaCha8Rng;

use super::key_spread::Chooser;
use super::{Key, Kind, Mix, Operation, Workload};
use crate::random::{Domain, below, rng};

/// See [`Workload::operations`].
#[derive(Clone, Debug)]
pub struct WriterOperations {
    writer: u32,
    /// Operations of one turn.
    turn: u64,
    /// From the end of a turn to the beginning of the next.
    stride: u64,
    next_index: u64,
    end_index: u64,
    mix: Mix,
    chooser: Chooser,
    rng: ChaCha8Rng,
    next_number: u32,
    living: Vec<LivingKey>,
}

#[derive(Clone, Copy, Debug)]
struct LivingKey {
    number: u32,
    version: u32,
}

impl Iterator for WriterOperations {
    type Item = Operation;

    fn next(&mut self) -> Option<Operation> {
        if self.end_index <= self.next_index {
            return None;
        }
        let index = self.next_index;
        self.next_index += 1;
        if self.next_index.is_multiple_of(self.turn) {
            self.next_index += self.stride;
        }
        let kind = self.choose_kind();
        let LivingKey { number, version } = match kind {
            Kind::Insert => self.insert(),
            Kind::Update | Kind::Replace => self.change(),
            Kind::Delete => self.delete(),
        };
        Some(Operation { index, key: Key { writer: self.writer, number }, version, kind })
    }
}

impl WriterOperations {
    pub(super) fn new(workload: &Workload, writer: u32) -> Self {
        let turn = workload.mix.transactions.turn();
        Self {
            writer,
            turn,
            stride: turn * (u64::from(workload.writers) - 1),
            next_index: turn * u64::from(writer),
            end_index: workload.operations,
            mix: workload.mix,
            chooser: Chooser::new(workload.key_spread),
            rng: rng(workload.seed, Domain::Operations, i64::from(writer), 0),
            next_number: 0,
            living: Vec::new(),
        }
    }

    /// The index of what comes next.
    pub(crate) fn next_index(&self) -> u64 {
        self.next_index
    }

    fn choose_kind(&mut self) -> Kind {
        if self.living.is_empty() {
            return Kind::Insert;
        }
        let mut draw = below(&mut self.rng, self.mix.total());
        for (kind, weight) in [
            (Kind::Insert, self.mix.insert),
            (Kind::Update, self.mix.update),
            (Kind::Replace, self.mix.replace),
        ] {
            let weight = u64::from(weight);
            if draw < weight {
                return kind;
            }
            draw -= weight;
        }
        Kind::Delete
    }

    fn insert(&mut self) -> LivingKey {
        let key = LivingKey { number: self.next_number, version: 0 };
        self.next_number += 1;
        self.living.push(key);
        key
    }

    fn change(&mut self) -> LivingKey {
        let place = self.chooser.choose(&mut self.rng, self.living.len() as u64);
        let key = &mut self.living[place as usize];
        key.version += 1;
        *key
    }

    fn delete(&mut self) -> LivingKey {
        let place = below(&mut self.rng, self.living.len() as u64);
        let LivingKey { number, version } = self.living.swap_remove(place as usize);
        LivingKey { number, version: version + 1 }
    }
}
