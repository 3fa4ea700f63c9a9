//! Maps, sets and lists in order, without a sort for every type.
//!
//! std sorts what it collects into a `BTreeMap` or `BTreeSet`, and its stable sort is 4 kB of code for
//! each type of element: forty of them were a twentieth of the binary. Here maps and sets are filled one by
//! one, and lists are sorted by the numbers of their elements: one sort for all of them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// As `collect()`: of two entries with the same key the later one counts.
pub fn map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}

/// As `collect()`.
pub fn set<T: Ord>(elements: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(elements);
    set
}

/// As the slice's own `sort()`: what is equal keeps its order.
pub fn sort<T: Ord>(list: &mut [T]) {
    sort_by(list, T::cmp);
}

/// As the slice's own `sort_by_key()`: what is equal keeps its order.
pub fn sort_by_key<T, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(list, |a, b| key(a).cmp(&key(b)));
}

/// As the slice's own `sort_by()`: what is equal keeps its order.
pub fn sort_by<T>(list: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    let mut from = numbers(list.len(), &|a, b| order(&list[a], &list[b]));
    // Each exchange puts one where it belongs, and what made way for it goes round the circle to the end.
    for begin in 0..list.len() {
        let mut to = begin;
        while from[to] != begin {
            let next = std::mem::replace(&mut from[to], to);
            list.swap(to, next);
            to = next;
        }
        from[to] = to;
    }
}

/// The numbers of so many elements, in the order of these.
fn numbers(count: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    #[expect(clippy::disallowed_methods, reason = "this is the one sort for all types")]
    numbers.sort_by(|a, b| order(*a, *b));
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_list_is_sorted_as_std_sorts_it(list: Vec<(u8, u16)>) {
            let (mut ours, mut theirs) = (list.clone(), list.clone());
            sort(&mut ours);
            theirs.sort();
            prop_assert_eq!(ours, theirs);

            let (mut ours, mut theirs) = (list.clone(), list);
            sort_by_key(&mut ours, |(key, _)| key % 8);
            theirs.sort_by_key(|(key, _)| key % 8);
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn maps_and_sets_are_those_that_std_collects(entries: Vec<(u8, u16)>) {
            prop_assert_eq!(map(entries.clone()), entries.iter().copied().collect());
            prop_assert_eq!(set(entries.clone()), entries.into_iter().collect());
        }
    }
}
