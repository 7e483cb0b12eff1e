//! Time of the hot path's parts over fixed corpora, by criterion: bytes and events per second.
//!
//! ```text
//!  cargo bench -p millrace-bench --bench hot_path                     every part over every corpus
//!  cargo bench -p millrace-bench --bench hot_path -- path-bson/plain  one of them
//! ```
//!
//! A machine that others share tells little by time: a change is judged by `instructions`, which is exact, and by
//! `pairs`, which takes turns with another build.

mod corpus;
mod part;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use part::Part;

fn hot_path(criterion: &mut Criterion) {
    let all = corpus::NAMES.map(|name| (name, corpus::named(name).expect("a corpus")));
    for part_name in Part::NAMES {
        let mut group = criterion.benchmark_group(part_name);
        for (name, corpus) in &all {
            let bytes = corpus.events.iter().map(|event| event.len() as u64).sum();
            let elements = corpus.events.len() as u64;
            group.throughput(Throughput::ElementsAndBytes { elements, bytes });
            let mut part = Part::named(part_name).expect("a part");
            group.bench_function(*name, |bencher| {
                bencher.iter(|| corpus.events.iter().for_each(|event| part.run(event)));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = hot_path
}
criterion_main!(benches);
