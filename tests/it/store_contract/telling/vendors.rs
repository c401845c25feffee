//! Channels that fail: they show, those who were told nothing show, and what works again is used at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use komainu::channels::Channels;
use komainu::clock;
use komainu::config::ChannelConfig;
use komainu::outbox::Calendar;
use komainu::store::outbox as store;
use komainu_notifiers::mail::{self, Login};
use komainu_notifiers::{DeliveryError, Receipt, Secret, Settings, pushbullet, webhook};
use komainu_watchdogs::telling::{Facts, Telling};
use komainu_watchdogs::view::Health;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::scripted::{Scripted, outlets};
use crate::cluster::wait::wait_until;
use crate::store_contract::fixture::{Fixture, Kind};
use crate::store_contract::on_both_databases;
use crate::store_contract::vendor::{PATIENCE, raise, routing, start};
use crate::support::raw::Raw;

on_both_databases! {
    a_channel_that_fails_in_whatever_way_shows_and_so_does_who_was_told_nothing,
    whatever_vendor_knows_us_no_more_nobody_can_be_told_and_the_dead_man_is_to_be_silent,
    a_channel_that_took_a_test_works_and_is_used_at_once,
}

async fn a_channel_that_fails_in_whatever_way_shows_and_so_does_who_was_told_nothing(kind: Kind) {
    let reason = || "it is lost".to_owned();
    let errors = [
        DeliveryError::Permanent { reason: reason() },
        DeliveryError::Retryable { reason: reason(), after: None },
        DeliveryError::Unanswered { reason: reason() },
        DeliveryError::Unreached { reason: reason() },
    ];
    for error in errors {
        let mut fixture = Fixture::native(kind).await;
        let routing = routing(&["ops"], None);
        assert_eq!(store::telling(&fixture.store).await.unwrap(), Facts::default());
        let (ops, said) = (
            Scripted::new({
                let error = error.clone();
                move |_| Err(error.clone())
            }),
            format!("{error:?}"),
        );
        let running = start(&fixture, 1, &routing, outlets(&[("ops", &ops)]));
        raise(&fixture, "node/node1", &routing).await;
        let id = fixture.raw.count("SELECT id FROM komainu_incident WHERE k = 'node/node1'").await;
        let shows = async || {
            let facts = store::telling(&fixture.store).await.unwrap();
            facts.failing.contains("ops") && facts.untold.contains(&id)
        };
        wait_until(&format!("after {said} both show"), PATIENCE, shows).await;
        drop(running);
        // A clock that is set back by a day does not make a channel work.
        let ahead = "UPDATE komainu_channel SET last_error_at = last_error_at + 86400000";
        fixture.raw.execute(ahead).await;
        fixture.raw.execute("UPDATE komainu_delivery SET due_at = due_at + 86400000").await;
        let facts = store::telling(&fixture.store).await.unwrap();
        assert!(facts.failing.contains("ops") && facts.untold.contains(&id), "{said}: {facts:?}");
        fixture.raw.execute("UPDATE komainu_delivery SET due_at = due_at - 86400000").await;
        fixture.raw.execute("UPDATE komainu_delivery SET retry_at = NULL, claimed_until = NULL").await;
        fixture.raw.execute("UPDATE komainu_channel SET next_at = 0").await;
        let willing = Scripted::willing();
        let _mended = start(&fixture, 2, &routing, outlets(&[("ops", &willing)]));
        willing.wait_for("node/node1").await;
        let is_well = async || store::telling(&fixture.store).await.unwrap() == Facts::default();
        wait_until(&format!("after {said} all is well again"), 2 * PATIENCE, is_well).await;
    }
}

/// A receiver that is gone, a token that was revoked, a password that was changed: each on a server of its own.
async fn strangers() -> [Settings; 3] {
    let gone = said_by("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", "").await;
    let revoked = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let revoked = said_by(revoked, "").await;
    let changed = said_by("250-localhost\r\n250 AUTH PLAIN\r\n", "535 5.7.8 bad credentials\r\n").await;
    let address = |port: u16| format!("http://127.0.0.1:{port}").parse::<Url>().unwrap();
    let login = Login { user: "komainu".to_owned(), password: Secret::new("of yesterday".to_owned()) };
    let mailbox = |name: &str| format!("{name}@example.com").parse().unwrap();
    [
        Settings::Webhook(webhook::Config { url: Secret::new(address(gone)), key: None }),
        Settings::Pushbullet(pushbullet::Config {
            token: Secret::new("o.revoked".to_owned()),
            target: pushbullet::Target::AllDevices,
            api_url: address(revoked),
        }),
        Settings::Mail(mail::Config {
            server: mail::Server { host: "127.0.0.1".to_owned(), port: changed, tls: mail::Tls::None, ca: None },
            login: Some(login),
            from: mailbox("komainu"),
            to: vec![mailbox("ops")],
            confirm_within: mail::CONFIRM_LIMIT,
        }),
    ]
}

/// A server that speaks HTTP, or SMTP where there is something to say `later`: what it answers to the first thing it is
/// told, and to all others. Its port.
async fn said_by(first: &'static str, later: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                if !later.is_empty() {
                    stream.write_all(b"220 localhost\r\n").await.unwrap();
                }
                let (mut said, mut answer) = (vec![0; 65_536], first);
                while stream.read(&mut said).await.is_ok_and(|bytes| bytes > 0) {
                    let _ = stream.write_all(answer.as_bytes()).await;
                    answer = later;
                }
            });
        }
    });
    port
}

async fn whatever_vendor_knows_us_no_more_nobody_can_be_told_and_the_dead_man_is_to_be_silent(kind: Kind) {
    for settings in strangers().await {
        let fixture = Fixture::native(kind).await;
        let routing = routing(&["ops"], None);
        let what = format!("{settings:?}");
        let channel = ChannelConfig {
            name: "ops".to_owned(),
            settings,
            fallback: None,
            answers: true,
            time_zone: None,
            calendar: Calendar::default(),
        };
        let outlets = Channels::prepare(std::slice::from_ref(&channel)).unwrap().outlets();
        let _running = start(&fixture, 1, &routing, outlets);
        raise(&fixture, "node/node1", &routing).await;
        let is_failing = async || store::telling(&fixture.store).await.unwrap().failing.contains("ops");
        wait_until(&format!("it shows: {what}"), PATIENCE, is_failing).await;
        let refused = "SELECT last_error FROM komainu_delivery";
        let reason = Raw::connect(&fixture.text).await.one(refused).await;
        assert!(["410", "access token", "535"].iter().any(|words| reason.contains(words)), "{what}: {reason}");
        // As seen for as long as the limit.
        let (began_at, limit) = (clock::now() - Duration::from_secs(25), Duration::from_secs(20));
        let mut telling = Telling::new(began_at, &routing, &BTreeMap::new(), limit);
        let facts = store::telling(&fixture.store).await.unwrap();
        telling.see(began_at, facts.clone());
        assert_eq!(telling.ability(began_at + Duration::from_secs(16)).health, Health::Degraded, "{what}");
        telling.see(clock::now(), facts);
        let ability = telling.ability(clock::now());
        assert!(ability.health == Health::Down && ability.is_mute, "{what}: {ability:?}");
    }
}

async fn a_channel_that_took_a_test_works_and_is_used_at_once(kind: Kind) {
    let fixture = Fixture::native(kind).await;
    let (routing, is_revoked) = (routing(&["ops"], None), Arc::new(AtomicBool::new(true)));
    let revoked = Arc::clone(&is_revoked);
    let ops = Scripted::new(move |_| {
        if revoked.load(Ordering::Relaxed) {
            return Err(DeliveryError::Permanent { reason: "token_revoked".to_owned() });
        }
        Ok(Receipt::default())
    });
    let _one = start(&fixture, 1, &routing, outlets(&[("ops", &ops)]));
    raise(&fixture, "node/node1", &routing).await;
    let is_refused = async || !store::telling(&fixture.store).await.unwrap().failing.is_empty();
    wait_until("it is refused", PATIENCE, is_refused).await;
    is_revoked.store(false, Ordering::Relaxed);
    store::note_tried(&fixture.store, "ops").await.unwrap();
    ops.wait_for("node/node1").await;
    // Nobody else could be told that the channel failed: it says so itself.
    ops.wait_for("channel/ops").await;
    assert!(store::telling(&fixture.store).await.unwrap().failing.is_empty());
}
