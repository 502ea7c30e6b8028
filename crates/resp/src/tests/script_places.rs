//! Where a script was when it failed.

use super::scripting::eval;
use super::{World, check_in};

#[test]
fn an_error_says_where_it_was() {
    let mut world = World::new();
    let mut place = |script: &str| {
        let answer = eval(&mut world, script);
        answer
            .rsplit_once(", on ")
            .map(|(_, place)| place.to_owned())
    };
    for (script, line) in [
        ("return redis.call('nothing')", "1"),
        ("return redis.call('incr', 'a', 'b')", "1"),
        ("local x = 1 return redis.setresp(4)", "1"),
        ("\n\nlocal x = redis.call('nothing') return x", "3"),
    ] {
        let expected = Some(format!("@user_script:{line}."));
        assert_eq!(place(script), expected, "{script}");
    }
    // Which of its lines ended in such a call is not known.
    assert_eq!(place("local x = 1\nreturn redis.call('nothing')"), None);
    let library =
        "#!lua name=l\\nredis.register_function('f', function() return redis.call('nothing') end)";
    check_in(
        &mut world,
        &[
            (&format!("FUNCTION LOAD \"{library}\""), "$1 l"),
            (
                "FCALL f 0",
                "-ERR Unknown Redis command called from script script: f, on @user_function:2.",
            ),
        ],
    );
}
