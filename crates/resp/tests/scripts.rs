//! Scripts over real sockets: what a client library's lock does, and scripts that want to take the server down.

mod support;

use isles_resp::ServeOptions;
use support::TestServer;

fn request(parts: &[&str]) -> String {
    let mut request = format!("*{}\r\n", parts.len());
    for part in parts {
        request += &format!("${}\r\n{part}\r\n", part.len());
    }
    request
}

/// The scripts of redis-py's `Lock`.
const RELEASE: &str = "
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
        redis.call('del', KEYS[1])
        return 1
    ";
const EXTEND: &str = "
        local token = redis.call('get', KEYS[1])
        if not token or token ~= ARGV[1] then
            return 0
        end
        local expiration = redis.call('pttl', KEYS[1])
        if not expiration then
            expiration = 0
        end
        if expiration < 0 then
            return 0
        end

        local newttl = ARGV[2]
        if ARGV[3] == \"0\" then
            newttl = ARGV[2] + expiration
        end
        redis.call('pexpire', KEYS[1], newttl)
        return 1
    ";

#[test]
fn a_lock_as_redis_py_takes_it() {
    let server = TestServer::start(ServeOptions::default());
    let (mut owner, mut other) = (server.connect(), server.connect());
    owner.ask(
        &request(&["SET", "lock", "mine", "NX", "PX", "10000"]),
        "+OK\r\n",
    );
    other.ask(
        &request(&["SET", "lock", "theirs", "NX", "PX", "10000"]),
        "$-1\r\n",
    );
    let digest = isles_lua::sha1_hex(RELEASE.as_bytes());
    let no_script = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    other.ask(
        &request(&["EVALSHA", &digest, "1", "lock", "theirs"]),
        no_script,
    );
    other.ask(
        &request(&["SCRIPT", "LOAD", RELEASE]),
        &format!("$40\r\n{digest}\r\n"),
    );
    other.ask(
        &request(&["EVALSHA", &digest, "1", "lock", "theirs"]),
        ":0\r\n",
    );
    owner.ask(
        &request(&["EVAL", EXTEND, "1", "lock", "mine", "5000", "0"]),
        ":1\r\n",
    );
    owner.ask(&request(&["PTTL", "lock"]), ":15000\r\n");
    owner.ask(
        &request(&["EVALSHA", &digest, "1", "lock", "mine"]),
        ":1\r\n",
    );
    other.ask(
        &request(&["SET", "lock", "theirs", "NX", "PX", "10000"]),
        "+OK\r\n",
    );
}

#[test]
fn hostile_scripts_leave_the_server_alive() {
    let server = TestServer::start(ServeOptions::default());
    let mut client = server.connect();
    client.ask(
        &request(&["CONFIG", "SET", "script-time-max", "50"]),
        "+OK\r\n",
    );
    let ended = "-ERR the script ran longer than script-time-max (50 ms) and was ended; nothing of it was done\r\n";
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do redis.pcall('set', 'a', 1) end",
        "local t = {} t[1] = t while true do pcall(cjson.encode, t) end",
    ] {
        client.ask(&request(&["EVAL", script, "0"]), ended);
    }
    client.ask(&request(&["EXISTS", "a"]), ":0\r\n");
    server.connect().ask("PING\r\n", "+PONG\r\n");
    client.ask(&request(&["EVAL", "return 1", "0"]), ":1\r\n");
}

const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n";
const KILLED: &str = "-ERR Script killed by user with SCRIPT KILL; nothing of it was done\r\n";

/// Connections that wait for the replica; more of them than threads.
const WAITING: usize = 20;

// One thread is what a node has on two cores: then the script runs on the only one.
#[test]
fn nobody_waits_for_a_script_that_is_late() {
    for workers in [1, 2] {
        let server = TestServer::start_on(workers, ServeOptions::default());
        let mut client = server.connect();
        client.ask(
            &request(&["CONFIG", "SET", "lua-time-limit", "100"]),
            "+OK\r\n",
        );
        let mut waiting: Vec<_> = (0..WAITING).map(|_| server.connect()).collect();
        let (mut runs, mut watches) = (server.connect(), server.connect());
        let endless = "redis.call('set', 'a', 1) while true do pcall(redis.call, 'incr', 'a') end";
        runs.send(request(&["EVAL", endless, "0"]));
        server.engine.until_held();
        for each in &mut waiting {
            each.send("GET a\r\n");
        }
        for each in &mut waiting {
            each.expect(BUSY);
        }
        watches.send("WATCH a\r\n");
        client.ask("MULTI\r\n", "+OK\r\n");
        client.ask("GET a\r\n", BUSY);
        server.connect().ask("FUNCTION KILL\r\n", BUSY);
        server.connect().ask("SCRIPT KILL\r\n", "+OK\r\n");
        runs.expect(KILLED);
        watches.expect("+OK\r\n");
        client.ask(
            "EXEC\r\n",
            "-EXECABORT Transaction discarded because of previous errors.\r\n",
        );
        client.ask("EXISTS a\r\n", ":0\r\n");
        client.ask(
            "SCRIPT KILL\r\n",
            "-NOTBUSY No scripts in execution right now.\r\n",
        );
        runs.ask(&request(&["EVAL", "return 1", "0"]), ":1\r\n");
    }
}

#[test]
fn a_server_that_stops_does_not_wait_for_a_script() {
    let mut server = TestServer::start_on(1, ServeOptions::default());
    let mut runs = server.connect();
    runs.send(request(&["EVAL", "while true do end", "0"]));
    server.engine.until_held();
    server.stop();
    runs.expect("-ERR the script was ended, because the server stops; nothing of it was done\r\n");
    server.join();
}
