//! Mail through a real server, over TLS.

use std::time::Duration;

use komainu_notifiers::mail::{CONFIRM_LIMIT, Config, Login, Mailbox, Server, Tls, mailbox};
use komainu_notifiers::{DeliveryError, Notice, Receipt, Secret, Settings};

use super::notices;
use super::server::{channel, nobody};
use super::smtpd::MailServer;

const PASSWORD: &str = "hunter2 with blanks";

fn config(server: &MailServer, tls: Tls) -> Config {
    let port = match tls {
        Tls::Wrapped => server.smtps,
        Tls::StartTls => server.starttls,
        Tls::None => server.plain,
    };
    let login = Login { user: "komainu".to_owned(), password: Secret::new(PASSWORD.to_owned()) };
    Config {
        server: Server { host: "localhost".to_owned(), port, tls, ca: Some(server.authorities()) },
        login: (tls != Tls::None).then_some(login),
        from: "Komainu <komainu@example.com>".parse().unwrap(),
        to: vec!["ops@example.com".parse().unwrap()],
        confirm_within: CONFIRM_LIMIT,
    }
}

async fn send(config: Config) -> Result<Receipt, DeliveryError> {
    channel(Settings::Mail(config)).send(&notices::opened()).await
}

async fn send_to(server: &MailServer, to: &[&str]) -> Result<Receipt, DeliveryError> {
    send(Config { to: self::to(to), ..config(server, Tls::Wrapped) }).await
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_mail_arrives_as_it_was_written_by_both_ways_of_tls_and_without_when_told() {
    let server = MailServer::start().await;
    for (tls, protection) in [(Tls::Wrapped, "tls"), (Tls::StartTls, "tls"), (Tls::None, "clear")] {
        let receipt = send(config(&server, tls)).await.unwrap();
        let taken = server.taken();
        assert_eq!(receipt.answer, format!("250 2.0.0 queued as {}", taken.len()));
        let mail = taken.last().unwrap();
        assert!(
            mail.starts_with(&format!("komainu@example.com\nops@example.com\n{protection}\nFrom: Komainu")),
            "{mail}"
        );
        for part in [
            "Subject: [komainu] node/node1 (prod)",
            "Message-ID: <0a1b2c3d4e5f60718293a4b5.komainu@example.com>",
            "References: <incident-41.prod.komainu@example.com>",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain",
            "Content-Type: text/html",
            "node node1 is offline",
        ] {
            assert!(mail.contains(part), "{part} is not in\n{mail}");
        }
    }
    assert_eq!(server.taken().len(), 3);
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn without_starttls_nothing_is_sent() {
    let server = MailServer::start().await;
    let mut config = config(&server, Tls::StartTls);
    config.server.port = server.plain;
    let outcome = send(config).await;
    let Err(DeliveryError::Permanent { reason }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("STARTTLS is not supported"), "{reason}");
    assert!(server.taken().is_empty());
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_server_that_insists_on_tls_refuses_mail_in_the_clear() {
    let server = MailServer::start().await;
    let mut config = config(&server, Tls::None);
    config.server.port = server.starttls;
    let outcome = send(config).await;
    let Err(DeliveryError::Permanent { reason }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("530"), "{reason}");
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_server_that_nobody_vouches_for_gets_nothing() {
    let server = MailServer::start().await;
    for tls in [Tls::Wrapped, Tls::StartTls] {
        let mut config = config(&server, tls);
        config.server.ca = None;
        let outcome = send(config).await;
        assert!(matches!(outcome, Err(DeliveryError::Unreached { .. })), "{outcome:?}");
    }
    assert!(server.taken().is_empty());
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_wrong_password_is_refused_for_good_and_not_shown() {
    let server = MailServer::start().await;
    let mut config = config(&server, Tls::StartTls);
    config.login = Some(Login { user: "komainu".to_owned(), password: Secret::new("hunter3".to_owned()) });
    let outcome = send(config).await;
    let Err(DeliveryError::Permanent { reason }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("535") && !reason.contains("hunter3"), "{reason}");
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn what_a_server_refuses_for_now_is_tried_again_and_what_it_refuses_for_good_is_not() {
    let server = MailServer::start().await;
    for (user, code) in [("greylisted", "451"), ("full", "452")] {
        let outcome = send_to(&server, &[user]).await;
        let Err(DeliveryError::Retryable { reason, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains(code), "{reason}");
    }
    for (user, code) in [("nobody", "550"), ("spam", "554")] {
        let outcome = send_to(&server, &[user]).await;
        let Err(DeliveryError::Permanent { reason }) = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains(code), "{reason}");
    }
    assert!(server.taken().is_empty());
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_domain_beyond_ascii_travels_as_dns_knows_it_and_a_user_beyond_it_needs_a_server_that_takes_such() {
    let server = MailServer::start().await;
    let to: Vec<Mailbox> =
        ["ops@b\u{fc}cher.example", "j\u{f6}rg@example.com"].map(|text| mailbox(text).unwrap()).into();
    for (tls, reached) in
        [(Tls::Wrapped, "ops@xn--bcher-kva.example j\u{f6}rg@example.com"), (Tls::None, "ops@xn--bcher-kva.example")]
    {
        let receipt = send(Config { to: to.clone(), ..config(&server, tls) }).await.unwrap();
        let mail = server.taken().pop().unwrap();
        assert_eq!(mail.lines().nth(1), Some(reached));
        let told: Vec<_> = receipt.missed.iter().map(|missed| missed.error.to_string()).collect();
        match tls {
            Tls::None => assert!(told.len() == 1 && told[0].contains("SMTPUTF8"), "{told:?}"),
            Tls::Wrapped | Tls::StartTls => assert!(told.is_empty(), "{told:?}"),
        }
    }
}

fn to(users: &[&str]) -> Vec<Mailbox> {
    users.iter().map(|user| format!("{user}@example.com").parse().unwrap()).collect()
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn each_recipient_is_judged_alone_and_who_has_it_is_not_told_again() {
    let server = MailServer::start().await;
    let to = to(&["nobody", "ops", "greylisted", "office"]);
    let config = Config { to, ..config(&server, Tls::Wrapped) };
    let receipt = send(config.clone()).await.unwrap();
    let missed: Vec<_> = receipt.missed.iter().map(|missed| (missed.reader.as_str(), &missed.error)).collect();
    assert!(
        matches!(
            &missed[..],
            [
                ("nobody@example.com", DeliveryError::Permanent { .. }),
                ("greylisted@example.com", DeliveryError::Retryable { .. })
            ]
        ),
        "{missed:?}"
    );
    assert_eq!(receipt.reached, ["ops@example.com", "office@example.com"]);
    assert!(receipt.answer.contains("not taken: nobody@example.com"), "{}", receipt.answer);
    let taken = server.taken();
    assert!(taken[0].starts_with("komainu@example.com\nops@example.com office@example.com\n"), "{}", taken[0]);

    let notice = Notice { told_to: receipt.reached.clone(), ..notices::opened() };
    let again = channel(Settings::Mail(config)).send(&notice).await.unwrap();
    assert_eq!((again.missed.len(), &again.reached), (2, &receipt.reached));
    assert_eq!(server.taken().len(), 1, "nobody is told twice");
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn where_everybody_is_refused_nobody_was_told() {
    let server = MailServer::start().await;
    let outcome = send_to(&server, &["nobody", "greylisted"]).await;
    assert!(matches!(outcome, Err(DeliveryError::Retryable { .. })), "{outcome:?}");
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_server_that_takes_half_a_minute_to_confirm_has_one_mail() {
    let server = MailServer::start().await;
    let receipt = send_to(&server, &["slow"]).await.unwrap();
    assert_eq!(receipt.answer, "250 2.0.0 queued as 1");
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn a_server_that_falls_silent_may_have_taken_the_mail() {
    let server = MailServer::start().await;
    let confirm_within = Duration::from_secs(2);
    let outcome = send(Config { to: to(&["silent"]), confirm_within, ..config(&server, Tls::Wrapped) }).await;
    let Err(DeliveryError::Unanswered { reason }) = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("did not confirm the mail within 2 s"), "{reason}");
}

#[tokio::test]
#[ignore = "needs aiosmtpd"]
async fn where_nobody_listens_nothing_was_told() {
    let server = MailServer::start().await;
    let mut config = config(&server, Tls::Wrapped);
    config.server.port = nobody().await.port().unwrap();
    let outcome = send(config).await;
    assert!(matches!(outcome, Err(DeliveryError::Unreached { .. })), "{outcome:?}");
}
