//! The way to one server: its name may have several addresses, of which the first may drop every packet.
//!
//! Owns that each address gets a moment before the next one is tried beside it, and that the first one that lets somebody
//! in is the one. What is known of the server, and which of several servers it should be, is [`super::servers`]'.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};

/// A connection within a network takes less; one address of two that drops packets costs no more.
const BESIDE: Duration = Duration::from_millis(300);

/// Connects by whichever address of its name answers first; the error is that of the first one.
pub(super) async fn connect(address: &url::Url) -> Result<MySqlConnection, sqlx::Error> {
    let options = MySqlConnectOptions::from_url(address)?.disable_statement_logging();
    let addresses = addresses(&options).await;
    if addresses.len() < 2 {
        return options.connect().await;
    }
    let each = addresses.into_iter().map(|ip| {
        let options = options.clone().host(&ip.to_string());
        async move { options.connect().await }
    });
    first(each).await.unwrap_or_else(|| Err(sqlx::Error::PoolClosed))
}

/// Of a name that has several; none where the name itself is needed, to be compared with a certificate.
async fn addresses(options: &MySqlConnectOptions) -> Vec<IpAddr> {
    let host = options.get_host();
    let needs_name = matches!(options.get_ssl_mode(), MySqlSslMode::VerifyIdentity);
    if needs_name || options.get_socket().is_some() || host.parse::<IpAddr>().is_ok() {
        return Vec::new();
    }
    let Ok(found) = tokio::net::lookup_host((host, options.get_port())).await else { return Vec::new() };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in found.map(|found: SocketAddr| found.ip()) {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    addresses
}

/// The first that lets somebody in, else the first error; each begins when one before has failed, or has had its moment.
async fn first<T, E>(mut each: impl Iterator<Item = impl Future<Output = Result<T, E>>>) -> Option<Result<T, E>> {
    let (mut under_way, mut error) = (FuturesUnordered::new(), None);
    under_way.push(each.next()?);
    let mut next = each.next();
    loop {
        let moment = tokio::time::sleep(BESIDE);
        tokio::select! {
            answer = under_way.next() => match answer {
                Some(Ok(connection)) => return Some(Ok(connection)),
                Some(Err(failed)) => {
                    error.get_or_insert(failed);
                }
                None => return error.map(Err),
            },
            () = moment, if next.is_some() => {}
        }
        under_way.extend(next.take());
        next = each.next();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::clock;

    /// What became of addresses that let somebody in, refuse, or drop every packet; and after how many moments.
    async fn reached(addresses: &[&str]) -> (Option<Result<usize, usize>>, u128) {
        let began_at = clock::now();
        let each = addresses.iter().enumerate().map(|(at, does)| async move {
            match *does {
                "lets in" => Ok(at),
                "refuses" => Err(at),
                _ => pending().await,
            }
        });
        let outcome = first(each).await;
        (outcome, clock::now().since(began_at).as_millis() / BESIDE.as_millis())
    }

    #[tokio::test]
    async fn an_address_that_drops_packets_costs_a_moment_and_not_the_connection() {
        assert_eq!(reached(&["lets in", "lets in"]).await, (Some(Ok(0)), 0));
        assert_eq!(reached(&["drops", "lets in"]).await, (Some(Ok(1)), 1));
        assert_eq!(reached(&["drops", "drops", "refuses", "lets in"]).await, (Some(Ok(3)), 2));
        assert_eq!(reached(&["refuses", "refuses"]).await, (Some(Err(0)), 0));
        assert_eq!(reached(&[]).await, (None, 0));
    }
}
