//! Rows in which every two values of two different dimensions meet somewhere.
//!
//! ```text
//! sizes [2, 2, 2]      0 0 0        (0,0) (0,1) (1,0) (1,1) stand in each two columns,
//!                      0 1 1        in four rows instead of eight
//!                      1 0 1
//!                      1 1 0
//! ```
//!
//! Greedy: each row begins with a pair that no row has yet and takes, dimension by dimension, what adds most new pairs;
//! the best of several attempts is kept. Rows behind the last new pair are drawn. The same seed gives the same rows.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::random::Random;

/// How many rows are tried for each that is kept.
const ATTEMPTS: usize = 40;
/// How many drawn rows may break a rule or repeat another before the number that was asked for is out of reach.
const DRAWS_MAX: usize = 100_000;

/// One value of one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// Number of the dimension.
    pub dimension: usize,
    /// Number of the value.
    pub value: usize,
}

type Pair = (Choice, Choice);

/// At least `rows_min` different rows over dimensions of these `sizes`: each has one value of every dimension, no two
/// of which are `forbidden` together, and every pair that is not forbidden is in one of them.
///
/// # Errors
/// When a pair fits into no row, or when there are not so many rows.
pub fn rows(
    sizes: &[usize],
    forbidden: impl Fn(Choice, Choice) -> bool,
    rows_min: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    let forbidden = |one: Choice, other: Choice| forbidden(one, other) || forbidden(other, one);
    let maker = Maker { sizes, forbidden: &forbidden };
    let (mut missing, mut random) = (maker.pairs(), Random::new(seed));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    while let Some(&pair) = missing.iter().nth(random.below(missing.len())) {
        let attempts = (0..ATTEMPTS).filter_map(|_| maker.row(Some(pair), &missing, &mut random));
        let best = attempts.max_by_key(|row| pairs_of(row).filter(|p| missing.contains(p)).count());
        let Some(row) = best else {
            anyhow::bail!(
                "{pair:?} fits into no row: it is not forbidden, but what goes with it is"
            )
        };
        for pair in pairs_of(&row) {
            missing.remove(&pair);
        }
        rows.push(row);
    }
    let mut draws = 0;
    while rows.len() < rows_min {
        draws += 1;
        ensure!(
            draws < DRAWS_MAX,
            "{rows_min} different rows were asked for, {} found",
            rows.len()
        );
        let drawn = maker.row(None, &missing, &mut random);
        rows.extend(drawn.filter(|row| !rows.contains(row)));
    }
    Ok(rows)
}

struct Maker<'a> {
    sizes: &'a [usize],
    forbidden: &'a dyn Fn(Choice, Choice) -> bool,
}

impl Maker<'_> {
    /// Every pair that may stand in a row.
    fn pairs(&self) -> BTreeSet<Pair> {
        let all = || {
            let values = self.sizes.iter().enumerate();
            values.flat_map(|(dimension, &size)| {
                (0..size).map(move |value| Choice { dimension, value })
            })
        };
        let pairs = all().flat_map(|one| all().map(move |other| (one, other)));
        let ordered = pairs.filter(|(one, other)| one.dimension < other.dimension);
        ordered.filter(|(one, other)| !(self.forbidden)(*one, *other)).collect()
    }

    /// One row around `begin`, with as many `missing` pairs as it goes; `None` where no value is left that may stand.
    fn row(
        &self,
        begin: Option<Pair>,
        missing: &BTreeSet<Pair>,
        random: &mut Random,
    ) -> Option<Vec<usize>> {
        let mut chosen: Vec<Choice> =
            begin.into_iter().flat_map(|(one, other)| [one, other]).collect();
        let mut left: Vec<usize> = (0..self.sizes.len())
            .filter(|dimension| chosen.iter().all(|choice| choice.dimension != *dimension))
            .collect();
        while !left.is_empty() {
            let dimension = left.swap_remove(random.below(left.len()));
            let values = (0..*self.sizes.get(dimension)?).map(|value| Choice { dimension, value });
            let may_stand =
                |choice: &Choice| chosen.iter().all(|other| !(self.forbidden)(*choice, *other));
            let news = |choice: &Choice| {
                let pairs = chosen.iter().map(|other| ordered(*choice, *other));
                pairs.filter(|pair| missing.contains(pair)).count()
            };
            // Of equals a drawn one.
            let rated: Vec<_> =
                values.filter(may_stand).map(|choice| (news(&choice), choice)).collect();
            let best = rated.iter().map(|(news, _)| *news).max()?;
            let equals: Vec<_> = rated.iter().filter(|(news, _)| *news == best).collect();
            chosen.push(equals.get(random.below(equals.len()))?.1);
        }
        chosen.sort_unstable();
        Some(chosen.into_iter().map(|choice| choice.value).collect())
    }
}

fn ordered(one: Choice, other: Choice) -> Pair {
    if one < other { (one, other) } else { (other, one) }
}

/// The pairs of a row.
fn pairs_of(row: &[usize]) -> impl Iterator<Item = Pair> {
    let choice = |(dimension, &value): (usize, &usize)| Choice { dimension, value };
    let all = row.iter().enumerate().map(choice);
    all.clone().flat_map(move |one| {
        let later = all.clone().filter(move |other| one.dimension < other.dimension);
        later.map(move |other| (one, other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(_: Choice, _: Choice) -> bool {
        false
    }

    /// All pairs of these dimensions, derived apart from the maker.
    fn covers(rows: &[Vec<usize>], sizes: &[usize], forbidden: fn(Choice, Choice) -> bool) {
        for (a, &of_a) in sizes.iter().enumerate() {
            for (b, &of_b) in sizes.iter().enumerate().skip(a + 1) {
                for (x, y) in (0..of_a).flat_map(|x| (0..of_b).map(move |y| (x, y))) {
                    let one = Choice { dimension: a, value: x };
                    let other = Choice { dimension: b, value: y };
                    let stands = rows.iter().any(|row| row[a] == x && row[b] == y);
                    let may = !forbidden(one, other) && !forbidden(other, one);
                    assert_eq!(stands, may, "{one:?} with {other:?}");
                }
            }
        }
    }

    #[test]
    fn every_pair_that_may_be_is_in_a_row_and_no_other() {
        let no_start = |one: Choice, other: Choice| {
            (one.dimension, one.value, other.dimension, other.value) == (2, 1, 0, 1)
        };
        for seed in 0..20 {
            for sizes in [&[2, 2, 2][..], &[6, 5, 3, 4, 2, 2], &[1, 3, 7], &[4, 2]] {
                covers(&rows(sizes, free, 0, seed).unwrap(), sizes, free);
                if sizes.len() > 2 {
                    covers(&rows(sizes, no_start, 0, seed).unwrap(), sizes, no_start);
                }
            }
        }
    }

    #[test]
    fn rows_are_few() {
        let few = rows(&[3; 10], free, 0, 1).unwrap();
        assert!(few.len() < 30, "{} rows where all would be 59049", few.len());
    }

    #[test]
    fn rows_beyond_the_pairs_are_different_ones() {
        let many = rows(&[3, 4, 2, 2], free, 40, 5).unwrap();
        assert_eq!(many.iter().collect::<BTreeSet<_>>().len(), 40);
        assert!(many.iter().all(|row| row.iter().zip([3, 4, 2, 2]).all(|(v, size)| *v < size)));
        assert!(rows(&[2, 2], free, 5, 5).is_err(), "there are four");
    }

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let of = |seed| rows(&[5, 4, 3, 3], free, 30, seed).unwrap();
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn a_pair_that_nothing_goes_with_is_named() {
        let alone = |one: Choice, other: Choice| {
            one.dimension == 2 && other.dimension < 2 && other.value == 0
        };
        let error = rows(&[2, 2, 2], alone, 0, 1).unwrap_err().to_string();
        assert!(error.contains("fits into no row"), "{error}");
    }
}
