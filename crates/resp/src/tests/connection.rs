use super::{SYNTAX, World, check, check_in, check_resp3};
use crate::execute::Stop;
use crate::session::Next;

#[test]
fn small_talk() {
    check(&[
        ("PING", "+PONG"),
        ("ping hi", "$2 hi"),
        (
            "PING a b",
            "-ERR wrong number of arguments for 'ping' command",
        ),
        ("ECHO hi", "$2 hi"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
    ]);
}

#[test]
fn unknown_commands_are_named() {
    check(&[
        (
            "FOO",
            "-ERR unknown command 'FOO', with args beginning with:",
        ),
        (
            "foo bar baz",
            "-ERR unknown command 'foo', with args beginning with: 'bar' 'baz'",
        ),
        (
            r#"foo "a\r\nb""#,
            "-ERR unknown command 'foo', with args beginning with: 'a  b'",
        ),
    ]);
    let mut world = World::new();
    let answer = world.run(&format!("{} {}", "f".repeat(500), "x".repeat(500)));
    assert!(answer.len() < 350, "{answer}");
}

#[test]
fn databases() {
    check(&[
        ("SELECT 0", "+OK"),
        (
            "SELECT 1",
            "-ERR DB index is out of range: Isles has one database, 0",
        ),
        ("SELECT x", "-ERR value is not an integer or out of range"),
    ]);
    let mut world = World::with(crate::ServeOptions {
        select_any: true,
        ..Default::default()
    });
    check_in(
        &mut world,
        &[
            ("SELECT 9", "+OK"),
            ("SELECT 16", "-ERR DB index is out of range"),
        ],
    );
}

#[test]
fn hello_chooses_the_version() {
    let mut world = World::new();
    let greeting = |proto, tag| {
        format!(
            "{tag} $6 server $5 redis $7 version $6 7.0.15 $5 proto :{proto} $2 id :1 $4 mode $10 standalone $4 role \
             $6 master $7 modules *0"
        )
    };
    check_in(
        &mut world,
        &[
            ("HELLO", &greeting(2, "*14")),
            ("HELLO 3", &greeting(3, "%7")),
            ("HGETALL none", "%0"),
            ("HELLO 4", "-NOPROTO unsupported protocol version"),
            (
                "HELLO x",
                "-ERR Protocol version is not an integer or out of range",
            ),
            (
                "HELLO 2 AUTH user secret",
                "-WRONGPASS invalid username-password pair or user is disabled.",
            ),
            ("HGETALL none", "%0"),
            ("HELLO 2 FOO", "-ERR Syntax error in HELLO option 'FOO'"),
            ("HELLO 2 SETNAME me", &greeting(2, "*14")),
            ("CLIENT GETNAME", "$2 me"),
        ],
    );
}

#[test]
fn passwords_are_refused() {
    let mut world = World::new();
    assert!(
        world
            .run("AUTH secret")
            .starts_with("-ERR AUTH <password> called without any password")
    );
    check_in(
        &mut world,
        &[
            (
                "AUTH user secret",
                "-WRONGPASS invalid username-password pair or user is disabled.",
            ),
            // The default user has no password, so that any is right.
            ("AUTH default anything", "+OK"),
            ("AUTH a b c", SYNTAX),
        ],
    );
}

#[test]
fn clients_have_names() {
    check(&[
        ("CLIENT ID", ":1"),
        ("CLIENT GETNAME", "$-1"),
        ("CLIENT SETNAME me", "+OK"),
        ("CLIENT GETNAME", "$2 me"),
        (
            "CLIENT SETNAME \"a b\"",
            "-ERR Client names cannot contain spaces, newlines or special characters.",
        ),
        ("CLIENT SETNAME \"\"", "+OK"),
        ("CLIENT GETNAME", "$-1"),
        ("CLIENT SETINFO LIB-NAME redis-py", "+OK"),
        ("CLIENT SETINFO lib-ver 8.1", "+OK"),
        (
            "CLIENT SETINFO LIB-VER \"8 1\"",
            "-ERR lib-ver cannot contain spaces, newlines or special characters.",
        ),
        ("CLIENT SETINFO FOO x", "-ERR Unrecognized option 'FOO'"),
        ("CLIENT NO-EVICT ON", "+OK"),
        ("CLIENT NO-TOUCH off", "+OK"),
        ("CLIENT NO-EVICT x", SYNTAX),
        ("CLIENT GETREDIR", ":-1"),
        ("CLIENT UNBLOCK 7", ":0"),
        (
            "CLIENT UNBLOCK 7 FOO",
            "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR",
        ),
        (
            "CLIENT MAINT_NOTIFICATIONS ON",
            "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.",
        ),
        (
            "CLIENT SETNAME",
            "-ERR wrong number of arguments for 'client|setname' command",
        ),
        (
            "CLIENT KILL",
            "-ERR wrong number of arguments for 'client|kill' command",
        ),
    ]);
}

#[test]
fn clients_are_listed() {
    let mut world = World::new();
    world.run("CLIENT SETNAME me");
    world.advance(5_000);
    let line = world.run("CLIENT INFO");
    for part in [
        "id=1 addr=127.0.0.1:1 ",
        " name=me age=5 ",
        " db=0 ",
        " user=default ",
        " resp=2 ",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    world.reconnect();
    assert_eq!(world.run("CLIENT LIST").matches("id=").count(), 2);
    assert_eq!(world.run("CLIENT LIST ID 2 99").matches("id=").count(), 1);
    check_in(
        &mut world,
        &[
            ("CLIENT LIST TYPE pubsub", "$0"),
            ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'"),
            ("CLIENT LIST ID x", "-ERR Invalid client ID"),
            ("CLIENT LIST FOO", SYNTAX),
        ],
    );
}

#[test]
fn clients_are_killed() {
    let mut world = World::new();
    let first = world.reconnect();
    check_in(
        &mut world,
        &[
            ("CLIENT KILL 9.9.9.9:1", "-ERR No such client"),
            ("CLIENT KILL ID 99", ":0"),
            (
                "CLIENT KILL ID 0",
                "-ERR client-id should be greater than 0",
            ),
            ("CLIENT KILL USER nobody", "-ERR No such user 'nobody'"),
            ("CLIENT KILL ID 2", ":0"),
            ("CLIENT KILL ADDR 127.0.0.1:1 SKIPME yes", ":1"),
        ],
    );
    assert!(first.client.is_killed());
    let (answer, stop) = world.run_buffer(b"CLIENT KILL ID 2 SKIPME no\r\nPING\r\n".to_vec());
    assert_eq!((answer.as_str(), stop), (":1", Stop::Close));
}

#[test]
fn answers_can_be_hidden() {
    check(&[
        ("CLIENT REPLY OFF", ""),
        ("SET a 1", ""),
        ("FOO", ""),
        ("CLIENT REPLY ON", "+OK"),
        ("GET a", "$1 1"),
        ("CLIENT REPLY SKIP", ""),
        ("PING", ""),
        ("PING", "+PONG"),
        ("CLIENT REPLY FOO", SYNTAX),
    ]);
}

#[test]
fn quitting_ends_the_buffer() {
    let mut world = World::new();
    let (answer, stop) = world.run_buffer(b"PING\r\nQUIT\r\nPING\r\n".to_vec());
    assert_eq!((answer.as_str(), stop), ("+PONG +OK", Stop::Close));
    assert_eq!(world.session.next, Next::Close);
}

#[test]
fn resetting_starts_over() {
    check_resp3(&[
        ("CLIENT SETNAME me", "+OK"),
        ("HGETALL none", "%0"),
        ("RESET", "+RESET"),
        ("HGETALL none", "*0"),
        ("CLIENT GETNAME", "$-1"),
    ]);
}

#[test]
fn there_is_one_user() {
    let refused = "-ERR there are no users besides default, who may do everything; listen on a private address only";
    check(&[
        ("ACL WHOAMI", "$7 default"),
        ("ACL USERS", "*1 $7 default"),
        (
            "ACL LIST",
            "*1 $51 user default on nopass sanitize-payload ~* &* +@all",
        ),
        (
            "ACL GETUSER default",
            "*12 $5 flags *3 $2 on $6 nopass $16 sanitize-payload $9 passwords *0 $8 commands $5 +@all $4 keys $2 ~* $8 channels $2 &* $9 selectors *0",
        ),
        ("ACL GETUSER bob", "$-1"),
        ("ACL SETUSER bob on", refused),
        ("ACL DELUSER bob", refused),
        (
            "ACL GENPASS",
            "-ERR ACL GENPASS is not supported by Isles: there is one user, who may do everything; instead: redis.listen on an address that only applications reach",
        ),
    ]);
}
