//! Publishing and subscribing.

use std::sync::Arc;

use super::config::help;
use crate::call::{Call, is};
use crate::conflict_news;
use crate::engine::ChannelKind;
use crate::error::{Failure, Outcome};
use crate::glob::{Case, Glob};
use crate::monitor::Monitoring;
use crate::publications;
use crate::pubsub::{Subscriptions, Topic};
use crate::session::{Answers, Next};
use crate::spec::{Family, Run, Spec, Subcommand};
use crate::watch;

pub(super) const COMMANDS: &[Spec] = &[
    listening(
        "subscribe",
        -2,
        subscribe,
        "Listens for messages published to channels.",
    ),
    listening(
        "unsubscribe",
        -1,
        unsubscribe,
        "Stops listening to channels.",
    ),
    listening(
        "psubscribe",
        -2,
        psubscribe,
        "Listens for messages published to channels that match patterns.",
    ),
    listening(
        "punsubscribe",
        -1,
        punsubscribe,
        "Stops listening to patterns.",
    ),
    listening(
        "ssubscribe",
        -2,
        ssubscribe,
        "Listens for messages published to shard channels.",
    )
    .channels(-1),
    listening(
        "sunsubscribe",
        -1,
        sunsubscribe,
        "Stops listening to shard channels.",
    )
    .channels(-1),
    publishing(
        "publish",
        publish,
        "Posts a message to a channel, in every region.",
    ),
    publishing(
        "spublish",
        spublish,
        "Posts a message to a shard channel, in every region.",
    )
    .channels(1),
    Spec::new(
        Family::PubSub,
        "pubsub",
        -2,
        Run::Data(pubsub),
        "Tells who listens to what on this node.",
    )
    .subcommands(SUBCOMMANDS)
    .loading(),
    Spec::new(
        Family::Server,
        "monitor",
        1,
        Run::Data(monitor),
        "Shows every command that this node runs.",
    )
    .admin()
    .no_script()
    .no_multi()
    .loading(),
];

const SUBCOMMANDS: &[Subcommand] = &[
    ("channels", -2),
    ("help", 2),
    ("numpat", 2),
    ("numsub", -2),
    ("shardchannels", -2),
    ("shardnumsub", -2),
];

const HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "NUMPAT",
    "NUMSUB [<channel> ...]",
    "SHARDCHANNELS [<pattern>]",
    "SHARDNUMSUB [<shardchannel> ...]",
];

const fn listening(
    name: &'static str,
    arity: i32,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::PubSub, name, arity, Run::Data(run), summary)
        .pubsub()
        .no_script()
        .loading()
}

/// Long, since there may be many who listen.
const fn publishing(
    name: &'static str,
    run: fn(&mut Call<'_, '_>) -> Outcome,
    summary: &'static str,
) -> Spec {
    Spec::new(Family::PubSub, name, 3, Run::Data(run), summary)
        .pubsub()
        .may_replicate()
        .loading()
        .fast()
        .long()
}

fn subscribe(call: &mut Call<'_, '_>) -> Outcome {
    listen(call, Topic::Channel, "subscribe")
}

fn psubscribe(call: &mut Call<'_, '_>) -> Outcome {
    listen(call, Topic::Pattern, "psubscribe")
}

fn ssubscribe(call: &mut Call<'_, '_>) -> Outcome {
    listen(call, Topic::Shard, "ssubscribe")
}

fn unsubscribe(call: &mut Call<'_, '_>) -> Outcome {
    stop_listening(call, Topic::Channel, "unsubscribe")
}

fn punsubscribe(call: &mut Call<'_, '_>) -> Outcome {
    stop_listening(call, Topic::Pattern, "punsubscribe")
}

fn sunsubscribe(call: &mut Call<'_, '_>) -> Outcome {
    stop_listening(call, Topic::Shard, "sunsubscribe")
}

fn listen(call: &mut Call<'_, '_>, topic: Topic, word: &str) -> Outcome {
    show_letters(call);
    for name in &call.args[1..] {
        let (hub, client) = (&call.surroundings.server.hub, &call.session.client);
        let subscriptions = call
            .session
            .subscriptions
            .get_or_insert_with(|| Subscriptions::new(Arc::clone(hub), Arc::clone(client)));
        let added = subscriptions.add(topic, name);
        let count = subscriptions.count(topic);
        call.session.restrict(call.reply.protocol);
        if let Err(failure) = added {
            // What was subscribed to before stays, and has been confirmed: the error goes after it.
            call.reply.error(&failure);
            return Ok(());
        }
        watch::begin(hub, call.txn);
        confirm(call, word, Some(name), count);
    }
    Ok(())
}

fn stop_listening(call: &mut Call<'_, '_>, topic: Topic, word: &str) -> Outcome {
    let own = call
        .session
        .subscriptions
        .as_ref()
        .map_or_else(Vec::new, |own| own.of(topic));
    let names: Vec<&[u8]> = match &call.args[1..] {
        [] => own.iter().map(|name| &**name).collect(),
        named => named.to_vec(),
    };
    let mut counts = Vec::with_capacity(names.len());
    for name in &names {
        counts.push(call.session.subscriptions.as_mut().map_or(0, |own| {
            own.remove(topic, name);
            own.count(topic)
        }));
    }
    // What came before goes before: a client that has stopped listening takes the next array for an answer.
    show_letters(call);
    call.session.restrict(call.reply.protocol);
    for (name, count) in names.iter().zip(counts) {
        confirm(call, word, Some(name), count);
    }
    if names.is_empty() {
        let count = call
            .session
            .subscriptions
            .as_ref()
            .map_or(0, |own| own.count(topic));
        confirm(call, word, None, count);
    }
    Ok(())
}

/// Puts messages that wait before what the command says. Inside EXEC's array there is no room for them.
fn show_letters(call: &mut Call<'_, '_>) {
    let session = &mut *call.session;
    while !session.executing && session.client.outbox.has_letters() {
        let barrier = call.reply.append_letters(&session.client.outbox);
        session.depend_on(barrier);
    }
}

fn confirm(call: &mut Call<'_, '_>, word: &str, name: Option<&[u8]>, count: usize) {
    call.session.told = call.session.answers != Answers::All;
    let reply = &mut *call.reply;
    reply.push(3);
    reply.text(word);
    reply.bulk_or_null(name);
    reply.count(count);
}

fn publish(call: &mut Call<'_, '_>) -> Outcome {
    send(call, ChannelKind::Plain)
}

fn spublish(call: &mut Call<'_, '_>) -> Outcome {
    send(call, ChannelKind::Shard)
}

fn send(call: &mut Call<'_, '_>, kind: ChannelKind) -> Outcome {
    let (channel, payload) = (call.args[1], call.args[2]);
    if conflict_news::is_reserved(channel) {
        return Err(Failure::other(
            "ERR on channels that begin with isles:conflicts only Isles publishes: the records of its journal",
        ));
    }
    let receivers = publications::publish(call, kind, channel, payload);
    call.reply.count(receivers);
    Ok(())
}

fn pubsub(call: &mut Call<'_, '_>) -> Outcome {
    let (subcommand, rest) = (call.args[1], &call.args[2..]);
    let known = |word| is(subcommand, word);
    match *rest {
        [] if known("CHANNELS") => names(call, Topic::Channel, None)?,
        [pattern] if known("CHANNELS") => names(call, Topic::Channel, Some(pattern))?,
        [] if known("SHARDCHANNELS") => names(call, Topic::Shard, None)?,
        [pattern] if known("SHARDCHANNELS") => names(call, Topic::Shard, Some(pattern))?,
        _ if known("NUMSUB") => counts(call, Topic::Channel, rest),
        _ if known("SHARDNUMSUB") => counts(call, Topic::Shard, rest),
        [] if known("NUMPAT") => {
            let patterns = call.surroundings.server.hub.channels.len(Topic::Pattern);
            call.reply.count(patterns);
        }
        [] if known("HELP") => help(call, "PUBSUB", HELP),
        _ => return Err(Failure::subcommand(subcommand, "PUBSUB")),
    }
    Ok(())
}

fn names(call: &mut Call<'_, '_>, topic: Topic, pattern: Option<&[u8]>) -> Outcome {
    let glob = pattern.map(|pattern| Glob::new(pattern, Case::Sensitive));
    let channels = &call.surroundings.server.hub.channels;
    let names = channels.names(topic, glob.transpose()?.as_ref());
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.bulk(name));
    Ok(())
}

fn counts(call: &mut Call<'_, '_>, topic: Topic, names: &[&[u8]]) {
    let channels = &call.surroundings.server.hub.channels;
    call.reply.array(2 * names.len());
    for name in names {
        call.reply.bulk(name);
        call.reply.count(channels.listeners(topic, name));
    }
}

fn monitor(call: &mut Call<'_, '_>) -> Outcome {
    if call.session.monitoring.is_none() {
        let hub = &call.surroundings.server.hub;
        call.session.monitoring = Some(Monitoring::begin(hub, &call.session.client));
        call.session.next = Next::Release;
    }
    call.reply.ok();
    Ok(())
}
