//! The order in which people number files: `2-x` before `10-x`.
//!
//! As `sort -V` has it (the rules are in coreutils' manual, "Version sort ordering"), without its
//! locale: a name is read as words and numbers in turn; numbers count by their value, in words
//! letters come before other characters, and `~` before everything, even before the end. The ending
//! (`.sh`) counts only between names that are equal without it.

use std::cmp::Ordering;

/// Which of two names comes first.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    parts(stem(a), stem(b)).then_with(|| parts(a, b)).then_with(|| a.cmp(b))
}

/// The name without its endings: each a dot, a letter, and letters and digits.
fn stem(name: &[u8]) -> &[u8] {
    let mut end = name.len();
    while let Some(dot) = name[..end].iter().rposition(|byte| *byte == b'.') {
        let ending = &name[dot + 1..end];
        let is_ending = ending.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'~')
            && ending.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'~');
        if !is_ending {
            break;
        }
        end = dot;
    }
    &name[..end]
}

/// Words and numbers in turn, until they differ.
fn parts(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let ((word_a, rest_a), (word_b, rest_b)) = (word(a), word(b));
        let ((number_a, next_a), (number_b, next_b)) = (number(rest_a), number(rest_b));
        let words = weights(word_a).cmp(weights(word_b));
        let numbers = || number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        match words.then_with(numbers) {
            Ordering::Equal => (a, b) = (next_a, next_b),
            differ => return differ,
        }
    }
    Ordering::Equal
}

/// What stands before the first digit, and the rest.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(u8::is_ascii_digit).unwrap_or(text.len()))
}

/// The digits at the beginning without their zeros, and the rest.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let (digits, rest) = text.split_at(text.iter().take_while(|byte| byte.is_ascii_digit()).count());
    (&digits[digits.iter().take_while(|byte| **byte == b'0').count()..], rest)
}

/// How the characters of a word count, and its end.
fn weights(word: &[u8]) -> impl Iterator<Item = i32> {
    let weight = |byte: &u8| match byte {
        b'~' => -2,
        letter if letter.is_ascii_alphabetic() => i32::from(*letter),
        other => i32::from(*other) + 256,
    };
    word.iter().map(weight).chain([0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&'static str]) -> Vec<&'static str> {
        let mut names = names.to_vec();
        names.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
        names
    }

    #[test]
    fn two_comes_before_ten() {
        let names = ["10-b.sh", "2-a.sh", "1-c.sh", "020-x.sh", "100.sh", "9.envsh"];
        assert_eq!(sorted(&names), ["1-c.sh", "2-a.sh", "9.envsh", "10-b.sh", "020-x.sh", "100.sh"]);
    }

    #[test]
    fn the_ending_counts_last_and_bytes_decide_in_the_end() {
        assert_eq!(sorted(&["10-x.sh", "10-x.envsh", "10-x-y.sh"]), ["10-x.envsh", "10-x.sh", "10-x-y.sh"]);
        assert_eq!(sorted(&["b", "B", "a", "A"]), ["A", "B", "a", "b"]);
        assert_eq!(sorted(&["1.sh", "01.sh", "001.sh"]), ["001.sh", "01.sh", "1.sh"]);
    }
}
