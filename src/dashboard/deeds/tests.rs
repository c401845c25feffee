//! Deeds as links and forms name them.

use std::collections::BTreeMap;

use komainu_watchdogs::view::View;

use super::{Deed, Scene};
use crate::api::support::view;
use crate::dashboard::form::Form;

fn read(query: &str) -> Result<Deed, String> {
    read_in(&view(), query)
}

fn read_in(view: &View, query: &str) -> Result<Deed, String> {
    let form = Form::of_query(Some(query));
    Deed::read(&Scene { form: &form, view, called: None, read: BTreeMap::new(), is_sent: false })
}

fn refused(query: &str) -> String {
    read(query).err().unwrap()
}

#[test]
fn a_deed_that_was_asked_about_is_sent_as_it_was_read() {
    let all = [
        "deed=incident.ack&incident=7",
        "deed=incident.resolve&incident=7",
        "deed=node.drain&node=node1",
        "deed=node.resume&node=a+b",
        "deed=node.recover&node=node1",
        "deed=cluster.freeze",
        "deed=cluster.thaw",
        "deed=cluster.rebalance",
        "deed=watchdog.remove&watchdog=w3",
        "deed=monitor.pause&monitor=7",
        "deed=monitor.resume&monitor=7",
        "deed=monitor.pin&monitor=7",
        "deed=monitor.unpin&monitor=7",
        "deed=check.pause&check=shop",
        "deed=check.resume&check=shop",
        "deed=monitor.move&monitor=7",
        "deed=incident.silence&incident=7",
        "deed=silence.add",
        "deed=silence.expire&silence=3f",
        "deed=incident.publish&incident=7",
        "deed=monitor.add",
        "deed=check.add",
        "deed=heartbeat.add",
        "deed=heartbeat.rotate&heartbeat=backup",
        "deed=page.add",
        "deed=page.edit&page=shop",
        "deed=page.remove&page=shop",
        "deed=page.tell&page=shop",
        "deed=page.plan&page=shop",
        "deed=notice.say&page=shop&kind=maintenance&notice=3f",
        "deed=notice.remove&page=shop&kind=incident&notice=3f",
    ];
    for query in all {
        let deed = read(query).unwrap();
        let again = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(deed.fields()).finish();
        assert_eq!(again, query);
        let asked = |deed: &Deed| (deed.wish.method.clone(), deed.wish.path.clone(), deed.wish.body.clone());
        assert_eq!(asked(&read(&again).unwrap()), asked(&deed), "{query}");
        for words in [deed.title.as_str(), deed.button, &deed.done] {
            assert!(!words.is_empty(), "{query}");
        }
        assert!(deed.title.ends_with('?') && !deed.consequences.is_empty(), "{query}");
    }
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(refused(""), "deed: is missing");
    assert_eq!(refused("deed=rm"), "deed: there is none of this name");
    assert_eq!(refused("deed=node.explode&node=node1"), "deed: there is none of this name");
    assert_eq!(refused("deed=node.drain&node=+"), "node: is missing");
    assert_eq!(refused("deed=incident.ack&incident=x"), "incident: must be a number");
}

#[test]
fn no_name_leads_to_another_path() {
    let wish = read("deed=node.drain&node=..%2F..%2Fcluster%2Ffreeze%3F").unwrap().wish;
    assert_eq!(wish.path, "/api/v1/nodes/..%2F..%2Fcluster%2Ffreeze%3F/drain");
}
