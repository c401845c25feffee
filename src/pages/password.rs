//! The password of a page: kept as a hash that nobody can try passwords against without the cluster's key.

use hmac::Mac;

use crate::keys::{ClusterKey, hmac};

/// What is stored: hex HMAC-SHA256, keyed for this purpose, of the place and the password. The same password elsewhere is another hash.
pub(crate) fn hash(key: &ClusterKey, slug: &str, password: &str) -> String {
    let mut mac = hmac(&key.page_key("password"));
    mac.update(slug.as_bytes());
    mac.update(b"\0");
    mac.update(password.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_password_on_another_page_or_cluster_is_another_hash() {
        let key = |letter: &str| ClusterKey::parse(&letter.repeat(64)).unwrap();
        let known = hash(&key("a"), "shop", "hunter22");
        assert_eq!(known, hash(&key("a"), "shop", "hunter22"));
        for other in
            [hash(&key("b"), "shop", "hunter22"), hash(&key("a"), "shop2", "hunter22"), hash(&key("a"), "shop", "x")]
        {
            assert_ne!(known, other);
        }
    }
}
