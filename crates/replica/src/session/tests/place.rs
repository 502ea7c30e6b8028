//! Several connections with one identity: which of them stays.

use super::*;

#[test]
fn the_same_process_takes_its_own_place() {
    let mut host = eu();
    let mut older = established(1, &mut host);
    let mut newer = Session::new(config(2), at(0));
    let answer = greet(&mut newer, hello(), &mut host);
    assert_eq!(
        answer,
        "Replace { session: 1 }; Established; ack of 00000000"
    );
    let answer = outcome(&mut older, at(1), control(Message::PullStop), &mut host);
    assert_eq!(
        answer,
        "error: a newer connection to the same node has taken over"
    );
    assert_eq!(older.close(&mut host), None);
    assert_eq!(
        host.exchange().peers().collect::<Vec<_>>(),
        [(US, 2)],
        "it leaves its successor alone"
    );
}

#[test]
fn another_process_with_the_same_identity_is_a_clone_if_the_first_still_answers() {
    let mut host = eu();
    let mut first = established(1, &mut host);
    let mut second = Session::new(config(2), at(0));
    let doubted = greet(
        &mut second,
        Hello {
            nonce: 3,
            ..hello()
        },
        &mut host,
    );
    assert_eq!(doubted, "Wake { session: 1 }");
    assert!(!second.may_read(TrafficClass::Control, &host));
    let result = first.advance(at(1), &mut host);
    assert_eq!(told(&mut first, at(1), result, &mut host), "probe 3");
    let answer = outcome(
        &mut first,
        at(9),
        control(Message::ProbeReply {
            nonce: 3,
            wall_ms: 9,
        }),
        &mut host,
    );
    assert!(answer.starts_with("Wake { session: 2 }"), "{answer}");
    let result = second.advance(at(10), &mut host);
    let answer = told(&mut second, at(10), result, &mut host);
    assert!(
        answer.contains("one of the two data directories is a copy")
            && answer.ends_with("reject Clone"),
        "{answer}"
    );
    assert!(first.advance(at(11), &mut host).is_ok());
}

#[test]
fn another_process_takes_the_place_of_one_that_no_longer_answers() {
    let mut host = eu();
    let mut first = established(1, &mut host);
    let mut second = Session::new(config(2), at(0));
    greet(
        &mut second,
        Hello {
            nonce: 3,
            ..hello()
        },
        &mut host,
    );
    assert_eq!(second.poll_timeout(), Some(3_000));
    let result = second.advance(at(3_000), &mut host);
    let answer = told(&mut second, at(3_000), result, &mut host);
    assert!(
        answer.starts_with("Replace { session: 1 }; Established"),
        "{answer}"
    );
    assert_eq!(
        first.advance(at(3_000), &mut host),
        Err(SessionError::Replaced)
    );
}

// After kill -9 the peers of a node had waited for three seconds before they let it back in.
#[test]
fn another_process_is_given_as_long_as_the_first_one_took_to_answer_and_not_more() {
    for (round_trip_ms, patience_ms) in [(1, 200), (80, 320), (2_000, 3_000)] {
        let mut host = eu();
        let mut first = established(1, &mut host);
        let reply = Message::ProbeReply {
            nonce: CLOCKS + 1,
            wall_ms: 0,
        };
        outcome(&mut first, at(round_trip_ms), control(reply), &mut host);
        let mut second = Session::new(config(2), at(0));
        let nonce = 3;
        greet(&mut second, Hello { nonce, ..hello() }, &mut host);
        assert_eq!(second.poll_timeout(), Some(patience_ms));
    }
}

#[test]
fn who_waits_for_a_place_is_woken_when_it_becomes_free() {
    let mut host = eu();
    let mut first = established(1, &mut host);
    let mut second = Session::new(config(2), at(0));
    let nonce = 3;
    greet(&mut second, Hello { nonce, ..hello() }, &mut host);
    assert_eq!(first.close(&mut host), Some(2));
    let result = second.advance(at(1), &mut host);
    let answer = told(&mut second, at(1), result, &mut host);
    assert!(answer.starts_with("Established"), "{answer}");
}

// Each end had gone by when it had seen the two connections: at the edge of a window of time one kept the older, the
// other the newer, and both were closed.
#[test]
fn of_two_connections_of_one_process_the_one_of_the_smaller_name_is_kept() {
    let accepted = |session| SessionConfig {
        direction: Direction::Accepted,
        ..config(session)
    };
    let hour = at(3_600_000);
    let mut host = eu();
    let mut ours = established(1, &mut host);
    let mut theirs = Session::new(accepted(2), at(0));
    assert_eq!(
        greet(&mut theirs, hello(), &mut host),
        "Wake { session: 1 }"
    );
    let result = ours.advance(hour, &mut host);
    assert!(told(&mut ours, hour, result, &mut host).starts_with("probe 2"));
    let reply = Message::ProbeReply {
        nonce: 2,
        wall_ms: 0,
    };
    let answer = outcome(&mut ours, hour, control(reply), &mut host);
    assert!(answer.starts_with("Wake { session: 2 }"), "{answer}");
    assert_eq!(
        theirs.advance(at(10), &mut host),
        Err(SessionError::Redundant)
    );
    // The other way round it takes the place at once.
    let mut host = eu();
    let mut theirs = Session::new(accepted(1), at(0));
    greet(&mut theirs, hello(), &mut host);
    let mut ours = Session::new(config(2), at(0));
    let answer = greet(&mut ours, hello(), &mut host);
    assert!(
        answer.starts_with("Replace { session: 1 }; Established"),
        "{answer}"
    );
}

#[test]
fn a_dead_connection_of_the_smaller_name_gives_way() {
    let mut host = eu();
    let mut ours = established(1, &mut host);
    let accepted = SessionConfig {
        direction: Direction::Accepted,
        ..config(2)
    };
    let mut theirs = Session::new(accepted, at(0));
    greet(&mut theirs, hello(), &mut host);
    let result = theirs.advance(at(3_000), &mut host);
    let answer = told(&mut theirs, at(3_000), result, &mut host);
    assert!(
        answer.starts_with("Replace { session: 1 }; Established"),
        "{answer}"
    );
    assert_eq!(
        ours.advance(at(3_000), &mut host),
        Err(SessionError::Replaced)
    );
}

// The peer asks over the same connection whether we live: to it, that connection is the one to keep.
#[test]
fn a_question_over_a_doubted_connection_is_an_answer() {
    let mut host = eu();
    let mut ours = established(1, &mut host);
    let accepted = SessionConfig {
        direction: Direction::Accepted,
        ..config(2)
    };
    let mut theirs = Session::new(accepted, at(0));
    greet(&mut theirs, hello(), &mut host);
    let question = control(Message::Probe { nonce: 9 });
    let answer = outcome(&mut ours, at(1), question, &mut host);
    assert!(
        answer.starts_with("Wake { session: 2 }; probe reply"),
        "{answer}"
    );
    assert_eq!(
        theirs.advance(at(2), &mut host),
        Err(SessionError::Redundant)
    );
}
