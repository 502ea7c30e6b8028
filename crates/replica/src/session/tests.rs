//! One session against a scripted peer; which of several with one peer stays is in `place`, several nodes against each
//! other are in `mesh`.

mod mesh;
mod place;
mod toy;
mod world;

use isles_clock::{Hlc, ReplicaId, VectorClock};
use isles_transport::{Ack, ChainLink, PeerIdentity, Pull, RejectCode, Role};

use super::*;
use crate::delivery::GENESIS_CHAIN;
use crate::delivery::Offer;
use crate::frame::Frame;
use crate::history::{History, Lookup};
use toy::{Toy, ToyLimits};

const EU: ReplicaId = ReplicaId::from_u128(1);
const US: ReplicaId = ReplicaId::from_u128(2);
const AP: ReplicaId = ReplicaId::from_u128(3);
/// The nonce of the session under test.
const CLOCKS: u64 = 1_000;

fn at(ms: u64) -> Now {
    Now { ms, wall_ms: ms }
}

fn config(session: u64) -> SessionConfig {
    SessionConfig {
        session,
        direction: Direction::Dialed,
        cluster: "isles".to_owned(),
        node: "eu-1".to_owned(),
        region: "eu".to_owned(),
        role: Role::Leader,
        nonce: CLOCKS,
        proven: None,
        serves: Vec::new(),
        timing: Timing::default(),
    }
}

/// Whether a probe asks for the peer's clock: those are numbered on from the nonce.
fn is_about_clocks(nonce: u64) -> bool {
    nonce > CLOCKS && nonce < CLOCKS + 100
}

/// A hello of us-1, which holds nothing.
fn hello() -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 1,
        cluster: "isles".to_owned(),
        replica: US,
        node: "us-1".to_owned(),
        region: "us".to_owned(),
        role: Role::Leader,
        nonce: 2,
        applied: VectorClock::new(),
        durable: VectorClock::new(),
        chains: Vec::new(),
        floor: Vec::new(),
        extensions: Vec::new(),
    }
}

fn eu() -> Toy {
    Toy::new(EU, ToyLimits::default())
}

fn control(message: Message) -> Received {
    Received::decode(TrafficClass::Control, message)
}

/// Greets a session at time zero; says what it answers to `hello` and what it sends.
fn greet(session: &mut Session, hello: Hello, host: &mut Toy) -> String {
    assert!(matches!(
        session.poll_transmit(at(0), host),
        Some(Message::Hello(_))
    ));
    outcome(session, at(0), control(Message::Hello(hello)), host)
}

fn outcome(session: &mut Session, now: Now, received: Received, host: &mut Toy) -> String {
    let result = session.handle(now, received, host);
    told(session, now, result, host)
}

fn told(
    session: &mut Session,
    now: Now,
    result: Result<Effects, SessionError>,
    host: &mut Toy,
) -> String {
    let mut lines = match result {
        Ok(effects) => effects.iter().map(|effect| format!("{effect:?}")).collect(),
        Err(error) => vec![format!("error: {error}")],
    };
    while let Some(message) = session.poll_transmit(now, host) {
        lines.push(match message {
            Message::Probe { nonce } if is_about_clocks(nonce) => continue,
            Message::Reject(Reject { code, .. }) => format!("reject {code:?}"),
            Message::Pull(Pull { have }) => format!("pull beyond {have}"),
            Message::Ack(ack) => format!("ack of {:?}", ack.about),
            Message::Probe { nonce } => format!("probe {nonce}"),
            other => other.name().to_owned(),
        });
    }
    lines.join("; ")
}

fn established(session: u64, host: &mut Toy) -> Session {
    let mut session = Session::new(config(session), at(0));
    let first = greet(&mut session, hello(), host);
    assert!(first.starts_with("Established"), "{first}");
    session
}

#[track_caller]
fn refuses(hello: Hello, host: &mut Toy, expected: &str) {
    let mut session = Session::new(config(1), at(0));
    let answer = greet(&mut session, hello, host);
    assert!(answer.contains(expected), "{answer}\nlacks: {expected}");
    assert!(
        answer.starts_with("error: ") && answer.contains("; reject "),
        "{answer}"
    );
    assert_eq!(session.poll_timeout(), None);
    assert_eq!(host.exchange().peers().count(), 0);
}

#[test]
fn a_peer_that_fits_is_established_and_told_our_ack() {
    let mut host = eu();
    let mut session = Session::new(config(1), at(0));
    assert!(
        !session.may_read(TrafficClass::Frames, &host),
        "hello comes first"
    );
    assert_eq!(
        greet(&mut session, hello(), &mut host),
        "Established; ack of 00000000"
    );
    assert!(session.may_read(TrafficClass::Frames, &host));
    assert_eq!(session.peer().map(|peer| peer.node.as_str()), Some("us-1"));
    assert!(session.feed_request(TrafficClass::Frames).is_some());
    assert_eq!(session.feed_request(TrafficClass::Pull), None);
}

#[test]
fn who_does_not_fit_is_refused_and_told_why() {
    let host = &mut eu();
    let newer = Hello {
        protocol_min: 2,
        protocol_max: 3,
        ..hello()
    };
    refuses(
        newer,
        host,
        "speaks protocols 1 to 1, the other 2 to 3: upgrade the older node",
    );
    let other = Hello {
        cluster: "other".to_owned(),
        ..hello()
    };
    refuses(
        other,
        host,
        "one node belongs to cluster \"isles\", the other to \"other\"",
    );
    refuses(
        Hello {
            replica: EU,
            ..hello()
        },
        host,
        "one of the two data directories is a copy",
    );
    refuses(
        Hello {
            replica: EU,
            nonce: CLOCKS,
            ..hello()
        },
        host,
        "this node has dialled itself",
    );
}

#[test]
fn a_peer_that_is_not_whom_its_certificate_names_is_refused() {
    let (cluster, node, region) = ("isles".to_owned(), "us-2".to_owned(), "us".to_owned());
    let proven = Some(PeerIdentity {
        cluster,
        node,
        region,
    });
    let mut session = Session::new(
        SessionConfig {
            proven,
            ..config(1)
        },
        at(0),
    );
    let answer = greet(&mut session, hello(), &mut eu());
    assert!(
        answer.contains("calls itself us-1 in us, but its certificate is for us-2 in us"),
        "{answer}"
    );
}

// A2: a restored image that has written on is not behind its peers; only the chains tell.
#[test]
fn a_hello_with_another_history_is_a_fork() {
    let mut host = eu();
    host.write(5, 1);
    let link = ChainLink {
        replica: EU,
        sequence: 5,
        chain: 77,
    };
    let applied: VectorClock = [(EU, 5)].into_iter().collect();
    let forked = Hello {
        chains: vec![link],
        applied,
        ..hello()
    };
    refuses(
        forked,
        &mut host,
        "the histories of replica 00000000000000000000000000000001 differ at sequence 5",
    );
}

#[test]
fn a_peer_that_knows_more_of_us_than_we_do_is_amnesia() {
    let mut host = eu();
    host.write(5, 1);
    let applied: VectorClock = [(EU, 9)].into_iter().collect();
    let ahead = Hello {
        applied: applied.clone(),
        ..hello()
    };
    refuses(
        ahead,
        &mut host,
        "\"us-1\" knows writes of replica 00000000000000000000000000000001 up to 9, its own log ends at 5",
    );
    let mut session = established(2, &mut host);
    let relayed = Ack {
        about: AP,
        durable: applied.clone(),
        promise: Hlc::ZERO,
        applied,
        as_of: Hlc::ZERO,
    };
    let answer = outcome(
        &mut session,
        at(1),
        control(Message::Ack(relayed)),
        &mut host,
    );
    assert!(
        answer.contains("its own log ends at 5") && answer.ends_with("reject Fork"),
        "{answer}"
    );
}

#[test]
fn a_peer_that_needs_what_was_trimmed_is_too_old() {
    let mut host = eu();
    host.write(5, 1);
    host.exchange_mut().set_log_floor(vec![(EU, 4)]);
    refuses(
        hello(),
        &mut host,
        "\"us-1\" needs replica 00000000000000000000000000000001 from sequence 1 on, the log begins at 4",
    );
}

/// Its hello was written, then it acknowledged over an older connection what was trimmed for that: the hello arrives last.
#[test]
fn a_hello_that_was_overtaken_by_acks_of_the_same_process_is_not_too_old() {
    let mut host = eu();
    host.write(5, 1);
    host.sync();
    let mut older = established(1, &mut host);
    let ack = Ack {
        about: US,
        applied: host.applied().clone(),
        durable: host.applied().clone(),
        promise: Hlc::default(),
        as_of: Hlc::default(),
    };
    outcome(&mut older, at(1), control(Message::Ack(ack)), &mut host);
    host.exchange_mut().set_log_floor(vec![(EU, 6)]);
    assert_eq!(older.close(&mut host), None);
    let restarted = Hello {
        nonce: 3,
        ..hello()
    };
    refuses(
        restarted,
        &mut host,
        "from sequence 1 on, the log begins at 6",
    );
    let newer = established(2, &mut host);
    let feed = newer
        .feed_request(TrafficClass::Frames)
        .expect("it is established");
    assert!(
        host.read(&feed)
            .is_some_and(|batch| batch.frames.is_empty())
    );
}

#[test]
fn who_speaks_out_of_turn_is_refused() {
    let mut host = eu();
    let mut session = Session::new(config(1), at(0));
    let answer = outcome(&mut session, at(0), control(Message::PullStop), &mut host);
    assert!(
        answer.starts_with("error: the peer broke the protocol: spoke before it said hello"),
        "{answer}"
    );
    let mut session = established(2, &mut host);
    let answer = outcome(
        &mut session,
        at(0),
        control(Message::Hello(hello())),
        &mut host,
    );
    assert_eq!(
        answer,
        "error: us-1 broke the protocol: said hello twice; reject Violation"
    );
    let mut session = established(3, &mut host);
    let misplaced = Received::decode(TrafficClass::Frames, Message::PullStop);
    let answer = outcome(&mut session, at(0), misplaced, &mut host);
    assert_eq!(
        answer,
        "error: the peer broke the protocol: pull stop in the frames lane; reject Violation"
    );
    let mut session = established(4, &mut host);
    let damaged = Received::decode(TrafficClass::Frames, Message::Frame(vec![1; 100].into()));
    let answer = outcome(&mut session, at(0), damaged, &mut host);
    assert_eq!(
        answer,
        "error: bad frame from the peer: frame is damaged: its check does not match its bytes; reject Violation"
    );
}

#[test]
fn a_silent_peer_is_given_up() {
    let (mut host, mut session) = (eu(), Session::new(config(1), at(0)));
    assert_eq!(session.poll_timeout(), Some(10_000));
    assert!(session.advance(at(9_999), &mut host).is_ok());
    let error = session.advance(at(10_000), &mut host).unwrap_err();
    assert_eq!(error.to_string(), "the peer said nothing for 10000 ms");
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn a_refusal_by_the_peer_ends_the_session_quietly() {
    let (mut host, mut session) = (eu(), Session::new(config(1), at(0)));
    assert!(matches!(
        session.poll_transmit(at(0), &mut host),
        Some(Message::Hello(_))
    ));
    let reject = Message::Reject(Reject {
        code: RejectCode::Cluster,
        reason: "wrong cluster".to_owned(),
    });
    let answer = outcome(&mut session, at(0), control(reject), &mut host);
    assert_eq!(answer, "error: the peer refused this node: wrong cluster");
}

#[test]
fn a_probe_is_answered() {
    let mut host = eu();
    let mut session = established(1, &mut host);
    let answer = outcome(
        &mut session,
        at(1),
        control(Message::Probe { nonce: 5 }),
        &mut host,
    );
    assert_eq!(answer, "probe reply");
}

#[test]
fn acks_are_coalesced_and_never_long_in_coming() {
    let mut host = eu();
    let mut session = established(1, &mut host);
    host.write(1, 1);
    assert_eq!(
        outcome(&mut session, at(1), Received::Skipped, &mut host),
        "",
        "nothing is durable yet"
    );
    host.sync();
    assert_eq!(
        outcome(&mut session, at(2), Received::Skipped, &mut host),
        "",
        "the last one was just now"
    );
    assert_eq!(session.poll_timeout(), Some(5));
    assert_eq!(
        outcome(&mut session, at(5), Received::Skipped, &mut host),
        "ack of 00000000"
    );
    assert_eq!(
        outcome(&mut session, at(999), Received::Skipped, &mut host),
        "sums",
        "nothing changed"
    );
    assert_eq!(
        outcome(&mut session, at(1005), Received::Skipped, &mut host),
        "ack of 00000000"
    );
}

#[test]
fn acks_of_others_are_relayed_once_and_never_to_whom_they_are_about() {
    let mut host = eu();
    let mut to_us = established(1, &mut host);
    let mut to_ap = Session::new(config(2), at(0));
    greet(
        &mut to_ap,
        Hello {
            replica: AP,
            node: "ap-1".to_owned(),
            ..hello()
        },
        &mut host,
    );
    let ack = Ack {
        about: AP,
        durable: VectorClock::new(),
        promise: Hlc::new(1, 0),
        applied: VectorClock::new(),
        as_of: Hlc::ZERO,
    };
    let answer = outcome(
        &mut to_ap,
        at(1),
        control(Message::Ack(ack.clone())),
        &mut host,
    );
    assert_eq!(answer, "");
    let mut relayed = |session: &mut Session, ms| {
        std::iter::from_fn(|| session.poll_transmit(at(ms), &mut host))
            .filter(|message| *message == Message::Ack(ack.clone()))
            .count()
    };
    assert_eq!((relayed(&mut to_us, 250), relayed(&mut to_ap, 250)), (1, 0));
    assert_eq!((relayed(&mut to_us, 500), relayed(&mut to_ap, 500)), (0, 0));
}

#[test]
fn own_frames_are_fed_from_where_the_peer_is_and_only_when_durable() {
    let mut host = eu();
    let frames = [host.write(2, 1), host.write(1, 2)];
    host.sync();
    host.write(1, 3);
    let applied: VectorClock = [(EU, 2)].into_iter().collect();
    let mut session = Session::new(config(1), at(0));
    greet(&mut session, Hello { applied, ..hello() }, &mut host);
    let request = session.feed_request(TrafficClass::Frames).unwrap();
    let batch = host.read(&request).unwrap();
    assert_eq!(
        session.feed(&request, batch.clone()),
        [Message::Frame(frames[1].bytes().clone())]
    );
    assert_eq!(session.feed_cursor(TrafficClass::Frames), Some(2));
    let request = session.feed_request(TrafficClass::Frames).unwrap();
    assert!(host.read(&request).is_none());
}

#[test]
fn a_pull_is_answered_with_all_but_what_is_fed_anyhow() {
    let (mut host, mut ap) = (eu(), Toy::new(AP, ToyLimits::default()));
    let [theirs, ours] = [ap.write(1, 1), host.write(1, 2)];
    let lane = Lane {
        peer: AP,
        kind: LaneKind::Direct,
    };
    assert_eq!(host.offer(theirs.clone(), lane), Ok(Offer::Accepted));
    host.apply();
    host.sync();
    let mut session = established(1, &mut host);
    let pull = || {
        control(Message::Pull(Pull {
            have: VectorClock::new(),
        }))
    };
    assert!(outcome(&mut session, at(1), pull(), &mut host).starts_with("Feed"));
    let request = session.feed_request(TrafficClass::Pull).unwrap();
    let answer = session.feed(&request, host.read(&request).unwrap());
    assert_eq!(answer.len(), 2);
    assert!(matches!(answer[0], Message::StreamStart(_)));
    assert_eq!(
        answer[1],
        Message::Frame(theirs.bytes().clone()),
        "our own comes unasked"
    );

    let direct = session.feed_request(TrafficClass::Frames).unwrap();
    assert_eq!(
        session.feed(&direct, host.read(&direct).unwrap()),
        [Message::Frame(ours.bytes().clone())]
    );
    assert!(outcome(&mut session, at(2), pull(), &mut host).starts_with("Feed"));
    assert_eq!(
        session.feed(&request, host.read(&request).unwrap()),
        [],
        "the older question is void"
    );
    let request = session.feed_request(TrafficClass::Pull).unwrap();
    let answer = session.feed(&request, host.read(&request).unwrap());
    assert_eq!(
        answer.len(),
        3,
        "asked again, it repeats what had been fed before"
    );
    assert!(
        outcome(&mut session, at(3), control(Message::PullStop), &mut host).starts_with("Feed")
    );
    assert_eq!(session.feed_request(TrafficClass::Pull), None);
}

#[test]
fn what_is_missing_is_asked_for_but_not_before_it_had_time_to_arrive() {
    let mut host = eu();
    let mut session = established(1, &mut host);
    let durable: VectorClock = [(AP, 7)].into_iter().collect();
    let ack = Ack {
        about: US,
        durable: durable.clone(),
        promise: Hlc::new(1, 0),
        applied: durable,
        as_of: Hlc::ZERO,
    };
    let quiet = |answer: String| assert!(!answer.contains("pull"), "{answer}");
    quiet(outcome(
        &mut session,
        at(100),
        control(Message::Ack(ack)),
        &mut host,
    ));
    let result = session.advance(at(599), &mut host);
    quiet(told(&mut session, at(599), result, &mut host));
    assert_eq!(session.poll_timeout(), Some(600));
    let result = session.advance(at(600), &mut host);
    let answer = told(&mut session, at(600), result, &mut host);
    assert!(answer.starts_with("pull beyond {}"), "{answer}");

    // Frames of an answer count once that answer has begun; one that comes directly ends it.
    let mut ap = Toy::new(AP, ToyLimits::default());
    let frames: Vec<Frame> = (0..3).map(|salt| ap.write(1, salt)).collect();
    let pulled =
        |frame: &Frame| Received::decode(TrafficClass::Pull, Message::Frame(frame.bytes().clone()));
    assert_eq!(
        outcome(&mut session, at(601), pulled(&frames[0]), &mut host),
        ""
    );
    assert_eq!(session.counts().void, 1);
    outcome(&mut session, at(602), Received::AnswerBegins, &mut host);
    assert_eq!(
        outcome(&mut session, at(603), pulled(&frames[0]), &mut host),
        "Ready"
    );
    let direct = Received::Frame(LaneKind::Direct, frames[1].clone());
    assert_eq!(
        outcome(&mut session, at(604), direct, &mut host),
        "Ready; Wake { session: 1 }; pull stop"
    );
    assert_eq!(host.apply(), 2);
}

#[test]
fn a_forked_frame_ends_the_session_and_is_not_applied() {
    let mut host = eu();
    let mut session = established(1, &mut host);
    let mut us = Toy::new(US, ToyLimits::default());
    let genuine = us.write(1, 1);
    let outcome_of = |session: &mut Session, frame: Frame, host: &mut Toy| {
        outcome(
            session,
            at(1),
            Received::Frame(LaneKind::Direct, frame),
            host,
        )
    };
    assert_eq!(outcome_of(&mut session, genuine, &mut host), "Ready");
    host.apply();
    let mut restored = Toy::new(US, ToyLimits::default());
    restored.write(1, 99);
    let answer = outcome_of(&mut session, restored.write(1, 2), &mut host);
    assert!(
        answer.contains("differ at sequence 2") && answer.ends_with("reject Fork"),
        "{answer}"
    );
    assert_eq!(host.applied().get(US), 1);
    assert_ne!(host.delivery().previous_chain(US), GENESIS_CHAIN);
}

// F7, A10: what is said of own entries before they are durable would be wrong after a crash.
#[test]
fn own_entries_are_not_spoken_of_before_they_are_durable() {
    let mut host = eu();
    host.write(3, 1);
    host.sync();
    host.write(4, 2);
    let mut session = Session::new(config(1), at(0));
    let Some(Message::Hello(ours)) = session.poll_transmit(at(0), &mut host) else {
        panic!("hello comes first");
    };
    assert_eq!((ours.applied.get(EU), ours.durable.get(EU)), (3, 3));
    assert_eq!(ours.chains.first().map(|link| link.sequence), Some(3));
    assert!(
        session
            .handle(at(0), control(Message::Hello(hello())), &mut host)
            .is_ok()
    );
    let Some(Message::Ack(ack)) = session.poll_transmit(at(0), &mut host) else {
        panic!("an ack follows");
    };
    assert_eq!((ack.applied.get(EU), ack.durable.get(EU)), (3, 3));
}

// A10: the peer would compare content that a crash may still take away.
#[test]
fn sums_wait_until_what_they_cover_is_durable() {
    let mut host = eu();
    let mut session = established(1, &mut host);
    host.write(1, 1);
    assert_eq!(
        outcome(&mut session, at(600), Received::Skipped, &mut host),
        ""
    );
    host.write(1, 2);
    assert!(
        session.poll_timeout() > Some(600),
        "it is the log that is waited for"
    );
    host.sync();
    let answer = outcome(&mut session, at(601), Received::Skipped, &mut host);
    assert_eq!(answer, "ack of 00000000; sums");
}

fn ask_for(replicas: &[&Toy], session: &mut Session, host: &mut Toy) {
    let durable: VectorClock = replicas
        .iter()
        .map(|toy| (toy.id(), toy.applied().get(toy.id())))
        .collect();
    let (about, promise) = (US, Hlc::new(1, 0));
    let ack = Ack {
        about,
        durable: durable.clone(),
        promise,
        applied: durable,
        as_of: Hlc::ZERO,
    };
    outcome(session, at(100), control(Message::Ack(ack)), host);
    let result = session.advance(at(600), host);
    assert!(told(session, at(600), result, host).starts_with("pull"));
    outcome(session, at(600), Received::AnswerBegins, host);
}

#[test]
fn a_pull_goes_on_while_it_brings_anybodys_frames() {
    let mut host = eu();
    let mut session = established(1, &mut host);
    let [mut ap, mut sa] =
        [3, 4].map(|id| Toy::new(ReplicaId::from_u128(id), ToyLimits::default()));
    let theirs = [ap.write(1, 1), ap.write(1, 2)];
    ask_for(&[&ap], &mut session, &mut host);
    let by_pull = |frame: Frame| Received::Frame(LaneKind::Pulled, frame);
    let direct = |frame: &Frame| Received::Frame(LaneKind::Direct, frame.clone());
    outcome(&mut session, at(601), by_pull(sa.write(1, 3)), &mut host);
    assert_eq!(
        outcome(&mut session, at(601), direct(&theirs[0]), &mut host),
        "Ready"
    );
    let stopped = outcome(&mut session, at(601), direct(&sa.write(1, 4)), &mut host);
    assert_eq!(stopped, "Ready; Wake { session: 1 }; pull stop");
}

#[test]
fn asking_again_drops_what_waits_of_the_last_answer() {
    let mut host = eu();
    let mut session = established(1, &mut host);
    let mut ap = Toy::new(AP, ToyLimits::default());
    let frames = [ap.write(1, 1), ap.write(1, 2)];
    ask_for(&[&ap], &mut session, &mut host);
    let pulled = Lane {
        peer: US,
        kind: LaneKind::Pulled,
    };
    let ahead = Received::Frame(LaneKind::Pulled, frames[1].clone());
    assert_eq!(outcome(&mut session, at(601), ahead, &mut host), "Ready");
    assert_eq!(host.delivery().held(pulled).frames, 1);
    let result = session.advance(at(1101), &mut host);
    assert!(told(&mut session, at(1101), result, &mut host).starts_with("pull beyond {}"));
    assert_eq!(host.delivery().held(pulled).frames, 0);
}

// A restarted node's ring begins after its last record, which is rarely a frame: a feed that had read every frame was
// still sent to the disk, again and again.
#[test]
fn a_feed_that_has_passed_every_frame_on_disk_goes_on_in_memory() {
    let mut host = eu();
    let frames = [host.write(1, 1), host.write(1, 2)];
    let mut session = established(1, &mut host);
    let mut history = History::new(EU, 9, [(EU, 1)].into_iter().collect(), 1 << 20);
    let request = session.feed_request(TrafficClass::Frames).unwrap();
    assert!(matches!(
        history.read(&request, BatchLimits::default()),
        Lookup::Behind
    ));
    let on_disk = [Ok::<_, SessionError>((4, frames[0].clone()))];
    let batch = request.collect(on_disk, BatchLimits::default()).unwrap();
    assert_eq!(session.feed(&request, batch).len(), 1);
    let request = session.feed_request(TrafficClass::Frames).unwrap();
    assert!(matches!(
        history.read(&request, BatchLimits::default()),
        Lookup::AtEnd
    ));
    history.push(11, frames[1].clone());
    let Lookup::Found(batch) = history.read(&request, BatchLimits::default()) else {
        panic!("the new frame is in memory");
    };
    assert_eq!(session.feed(&request, batch).len(), 1);
}
