//! Counts the allocations of a thread, for tests that promise none; those of `node` use this very file. `unsafe`: an
//! allocator cannot be written without.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has asked for memory since it began.
pub(crate) fn taken() -> u64 {
    COUNT.get()
}

/// What `work` returns, and how often it asked for memory or for more of it. Other threads do not count.
pub(crate) fn count<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = taken();
    let result = work();
    (result, taken() - before)
}

fn note() {
    // A thread that is ending has no counter any more, and nobody who would ask.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[allow(unsafe_code, reason = "an allocator cannot be written without; see the module")]
// SAFETY: everything is handed to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note();
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn every_way_to_take_memory_is_counted_and_giving_it_back_is_not() {
    let (mut bytes, taken) = count(|| Vec::<u8>::with_capacity(1));
    assert_eq!(taken, 1);
    assert_eq!(count(|| bytes.reserve(100)).1, 1);
    assert_eq!(count(|| drop(bytes)).1, 0);
    assert_eq!(count(|| drop(vec![0_u8; 10])).1, 1);
    let (_, of_others) = count(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1_000).for_each(|_| drop(vec![1_u8; 9])));
        });
    });
    assert!(of_others < 100, "a thread costs some, what it does costs nothing here: {of_others}");
}
