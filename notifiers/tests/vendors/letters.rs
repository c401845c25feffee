//! Letters: many to one reader each, over one connection to a real mail server.

use std::time::Duration;

use komainu_notifiers::mail::letter::{Letter, LetterError, Postman};
use komainu_notifiers::mail::{Config, Server, Tls, mailbox};

use super::smtpd::MailServer;

fn letter(to: &str, number: u32) -> Letter {
    Letter {
        to: mailbox(to).unwrap(),
        subject: "[Läden] Bestellungen sind langsam, ordering is slow, 訂單處理速度緩慢".to_owned(),
        id: format!("{number}-abc"),
        thread: Some("notice-n1.shop".to_owned()),
        is_reply: number > 1,
        text: "Wir schauen.\n".to_owned(),
        html: "<p>Wir schauen.</p>\n".to_owned(),
        unsubscribe: Some("https://status.example/pages/shop/unsubscribe/x?lang=en".to_owned()),
    }
}

fn postman(server: &MailServer, confirm_within: Duration) -> Postman {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = Server { host: "localhost".to_owned(), port: server.plain, tls: Tls::None, ca: None };
    let from = "Shop <status@example.com>".parse().unwrap();
    Postman::new(Config { server, login: None, from, to: vec![], confirm_within }).unwrap()
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn one_connection_carries_many_letters_and_whoever_is_refused_in_between_keeps_nobody_from_theirs() {
    let server = MailServer::start().await;
    let postman = postman(&server, Duration::from_secs(60));
    let mut round = postman.open().await.unwrap();
    let mut ends = vec![];
    for (at, user) in ["jane", "nobody", "greylisted", "john", "full", "spam", "joe"].into_iter().enumerate() {
        let letter = letter(&format!("{user}@example.com"), u32::try_from(at).unwrap());
        ends.push(round.hand(&letter, 1_763_800_000_000).await);
    }
    round.close().await;
    let refused = |code: &str| Err(LetterError::Refused { reason: format!("the mail server answered {code}") });
    let later = |code: &str| Err(LetterError::Later { reason: format!("the mail server answered {code}") });
    assert_eq!(ends, [Ok(()), refused("550"), later("451"), Ok(()), later("452"), refused("554"), Ok(())]);
    let readers: Vec<String> = server.taken().iter().map(|mail| mail.lines().nth(1).unwrap().to_owned()).collect();
    assert_eq!(readers, ["jane@example.com", "john@example.com", "joe@example.com"]);
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_server_that_is_away_and_one_that_does_not_confirm_are_told_apart() {
    let server = MailServer::start().await;
    let postman = postman(&server, Duration::from_millis(300));
    let mut round = postman.open().await.unwrap();
    let silent = round.hand(&letter("silent@example.com", 1), 0).await;
    assert!(matches!(silent, Err(LetterError::Unanswered { .. })), "{silent:?}");
    let port = server.plain;
    drop(server);
    let mut away = postman.open().await.map(drop);
    // Its process ends with its standard input, in a moment.
    for _ in 0..500 {
        if away.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        away = postman.open().await.map(drop);
    }
    assert!(matches!(away, Err(LetterError::Server { .. })), "{away:?} at {port}");
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_user_beyond_ascii_is_refused_by_a_server_that_takes_none_and_the_address_is_not_repeated() {
    let server = MailServer::start().await;
    let postman = postman(&server, Duration::from_secs(60));
    let mut round = postman.open().await.unwrap();
    let outcome = round.hand(&letter("用戶@例子.台灣", 1), 0).await;
    let Err(LetterError::Refused { reason }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("SMTPUTF8") && reason.is_ascii(), "{reason}");
    assert_eq!(round.hand(&letter("jane@例子.台灣", 2), 0).await, Ok(()));
    assert!(server.taken()[0].contains("To: jane@xn--fsqu00a.xn--kpry57d"), "{}", server.taken()[0]);
}
