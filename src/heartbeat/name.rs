//! What a heartbeat may be called: a word that addresses, shells and file names hold as it is.

/// Of a name.
pub const NAME_CHARS: usize = 100;

/// 1 to 100 of `[A-Za-z0-9._-]`, the first a letter or a digit.
pub fn is_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    name.len() <= NAME_CHARS
        && name.chars().all(is_plain)
        && name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_no_escaping_anywhere() {
        assert!(["a", "9", "db-1.nightly_backup", &"x".repeat(100)].into_iter().all(is_name));
        assert!(!["", ".a", "-a", "_a", "a b", "ä", "a/b", "..", &"x".repeat(101)].into_iter().any(is_name));
    }
}
