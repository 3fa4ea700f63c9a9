//! Maps, sets and lists in order, without much code for every type.
//!
//! std's maps and sets in order are trees: some 5 kB of code for each type of key and value, and ours were
//! a thirtieth of the binary. Here they are vectors that are kept in order. What belongs at the end, as a new
//! pid does, or what comes in order, is just put there; else those behind it move up by one, which for
//! thousands of them takes about as long as a system call. Whoever may get a hundred thousand in any
//! order collects them, or extends a map by them: then they are sorted once.
//!
//! std's stable sort is 4 kB of code for each type of element. Here lists are sorted by the numbers of
//! their elements: one sort for all of them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;

/// A map in order of its keys, as std's `BTreeMap`.
#[derive(Clone, PartialEq, Eq)]
pub struct Map<K, V>(Vec<(K, V)>);

impl<K: Ord, V> Map<K, V> {
    /// An empty one.
    pub const fn new() -> Map<K, V> {
        Map(Vec::new())
    }

    /// Where a key is, or else belongs.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        search(self.0.len(), &|at| self.0[at].0.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Whether it has this key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// Gives a key its value; returns what it had before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// The value of a key, which gets this one if it has none.
    pub fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        let at = self.find(&key).unwrap_or_else(|at| {
            self.0.insert(at, (key, value()));
            at
        });
        &mut self.0[at].1
    }

    /// Takes a key out; returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps those only of which this is true.
    pub fn retain(&mut self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keeps(key, value));
    }
}

impl<K, V> Map<K, V> {
    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All pairs, in order of the keys.
    pub fn iter(&self) -> Pairs<'_, K, V> {
        self.into_iter()
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// All values, in order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// All values, in order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

/// Pairs of a map, in order.
pub type Pairs<'a, K, V> = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Pairs<'a, K, V>;

    fn into_iter(self) -> Pairs<'a, K, V> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    /// Of two pairs with the same key the later one counts.
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        let known = self.0.len();
        self.0.extend(pairs);
        if !self.0[known.saturating_sub(1)..].is_sorted_by(|one, next| one.0 < next.0) {
            sort_by(&mut self.0, |one, other| one.0.cmp(&other.0));
            self.0.dedup_by(|later, one| {
                let is_same = later.0 == one.0;
                if is_same {
                    std::mem::swap(later, one);
                }
                is_same
            });
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    /// Of two pairs with the same key the later one counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Map<K, V> {
        let mut map = Map::new();
        map.extend(pairs);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(pairs: [(K, V); N]) -> Map<K, V> {
        pairs.into_iter().collect()
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Map<K, V> {
        Map(Vec::new())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// A set in order, as std's `BTreeSet`.
#[derive(Clone, PartialEq, Eq)]
pub struct Set<T>(Vec<T>);

impl<T: Ord> Set<T> {
    /// An empty one.
    pub const fn new() -> Set<T> {
        Set(Vec::new())
    }

    /// Where an element is, or else belongs.
    fn find<Q: Ord + ?Sized>(&self, element: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        search(self.0.len(), &|at| self.0[at].borrow().cmp(element))
    }

    /// Whether it has this element.
    pub fn contains<Q: Ord + ?Sized>(&self, element: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.find(element).is_ok()
    }

    /// The element that is equal to this one.
    pub fn get<Q: Ord + ?Sized>(&self, element: &Q) -> Option<&T>
    where
        T: Borrow<Q>,
    {
        self.find(element).ok().map(|at| &self.0[at])
    }

    /// Puts an element in; returns whether it is new.
    pub fn insert(&mut self, element: T) -> bool {
        let found = self.find(&element);
        if let Err(at) = found {
            self.0.insert(at, element);
        }
        found.is_err()
    }

    /// Takes an element out; returns whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, element: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let found = self.find(element);
        if let Ok(at) = found {
            self.0.remove(at);
        }
        found.is_ok()
    }

    /// Those that are not greater than this one, in order.
    pub fn up_to(&self, last: &T) -> &[T] {
        &self.0[..self.0.partition_point(|element| element <= last)]
    }
}

impl<T> Set<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The least one.
    pub fn first(&self) -> Option<&T> {
        self.0.first()
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a Set<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T> IntoIterator for Set<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Ord> Extend<T> for Set<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        let known = self.0.len();
        self.0.extend(elements);
        if !self.0[known.saturating_sub(1)..].is_sorted_by(|one, next| one < next) {
            sort(&mut self.0);
            self.0.dedup();
        }
    }
}

impl<T: Ord> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Set<T> {
        let mut set = Set::new();
        set.extend(elements);
        set
    }
}

impl<T: Ord, const N: usize> From<[T; N]> for Set<T> {
    fn from(elements: [T; N]) -> Set<T> {
        elements.into_iter().collect()
    }
}

impl<T> Default for Set<T> {
    fn default() -> Set<T> {
        Set(Vec::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

/// Where among so many in order the one is that is asked about, or else belongs: `order` says how another one
/// stands to it. Mostly it belongs at the end.
fn search(count: usize, order: &dyn Fn(usize) -> Ordering) -> Result<usize, usize> {
    let (mut from, mut to) = (0, count);
    let mut at = count.saturating_sub(1);
    while from < to {
        match order(at) {
            Ordering::Less => from = at + 1,
            Ordering::Equal => return Ok(at),
            Ordering::Greater => to = at,
        }
        at = from.midpoint(to);
    }
    Err(from)
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
    use std::collections::{BTreeMap, BTreeSet};

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
        fn a_map_is_that_of_std(before: Vec<(u8, u16)>, more: Vec<(u8, u16)>, steps: Vec<(u8, u16, u8)>) {
            let (mut ours, mut theirs) = (Map::from_iter(before.clone()), BTreeMap::from_iter(before));
            ours.extend(more.clone());
            theirs.extend(more);
            prop_assert!(ours.iter().eq(&theirs));
            for (key, value, step) in steps {
                match step % 8 {
                    0..4 => prop_assert_eq!(ours.insert(key, value), theirs.insert(key, value)),
                    4 | 5 => prop_assert_eq!(ours.remove(&key), theirs.remove(&key)),
                    6 => {
                        let known = theirs.entry(key).or_insert(value);
                        prop_assert_eq!(ours.get_or_insert_with(key, || value), known);
                    }
                    _ => {
                        ours.retain(|known, value| known % 4 != key % 4 || *value % 2 == 0);
                        theirs.retain(|known, value| known % 4 != key % 4 || *value % 2 == 0);
                    }
                }
                prop_assert_eq!(ours.get(&value.to_le_bytes()[0]), theirs.get(&value.to_le_bytes()[0]));
                prop_assert_eq!(ours.get_mut(&key), theirs.get_mut(&key));
                prop_assert_eq!(ours.contains_key(&key), theirs.contains_key(&key));
                prop_assert!(ours.iter().eq(&theirs) && ours.len() == theirs.len());
                prop_assert_eq!(ours.is_empty(), theirs.is_empty());
            }
            prop_assert!(ours.keys().eq(theirs.keys()) && ours.values().eq(theirs.values()));
            prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
            prop_assert!(ours.into_iter().eq(theirs));
        }

        #[test]
        fn a_set_is_that_of_std(before: Vec<u8>, more: Vec<u8>, steps: Vec<(u8, u8)>) {
            let (mut ours, mut theirs) = (Set::from_iter(before.clone()), BTreeSet::from_iter(before));
            ours.extend(more.clone());
            theirs.extend(more);
            prop_assert!(ours.iter().eq(&theirs));
            for (element, step) in steps {
                match step % 4 {
                    0 | 1 => prop_assert_eq!(ours.insert(element), theirs.insert(element)),
                    2 => prop_assert_eq!(ours.remove(&element), theirs.remove(&element)),
                    _ => prop_assert!(ours.up_to(&element).iter().eq(theirs.range(..=element))),
                }
                prop_assert_eq!(ours.contains(&step), theirs.contains(&step));
                prop_assert!(ours.iter().eq(&theirs) && ours.len() == theirs.len());
                prop_assert_eq!((ours.first(), ours.is_empty()), (theirs.first(), theirs.is_empty()));
            }
            prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
            prop_assert!(ours.into_iter().eq(theirs));
        }
    }
}
