use super::*;

const OUT_OF_RANGE: &str = "-ERR value is out of range, must be positive";

#[test]
fn pushes_and_pops() {
    check(&[
        ("LPUSH l a b c", ":3"),
        ("RPUSH l d", ":4"),
        ("LRANGE l 0 -1", "*4 $1 c $1 b $1 a $1 d"),
        ("LPOP l", "$1 c"),
        ("RPOP l", "$1 d"),
        ("LPOP l 5", "*2 $1 b $1 a"),
        ("EXISTS l", ":0"),
        ("LPOP l", "$-1"),
        ("LPOP l 2", "*-1"),
        ("LPUSHX l a", ":0"),
        ("RPUSHX l a", ":0"),
        ("RPUSH l a", ":1"),
        ("RPUSHX l b c", ":3"),
        ("LPUSHX l z", ":4"),
        ("LPOP l 0", "*0"),
        ("RPOP l 2", "*2 $1 c $1 b"),
        ("LPOP l -1", OUT_OF_RANGE),
        ("LPOP l x", OUT_OF_RANGE),
        (
            "LPOP l 1 2",
            "-ERR wrong number of arguments for 'lpop' command",
        ),
        ("TYPE l", "+list"),
        ("OBJECT ENCODING l", "$9 quicklist"),
    ]);
}

#[test]
fn elements_by_index() {
    check(&[
        ("RPUSH l a b c d", ":4"),
        ("LINDEX l 0", "$1 a"),
        ("LINDEX l -1", "$1 d"),
        ("LINDEX l 4", "$-1"),
        ("LINDEX l -5", "$-1"),
        ("LINDEX l x", NOT_INTEGER),
        ("LINDEX none x", "$-1"),
        ("LSET l 1 B", "+OK"),
        ("LSET l -1 D", "+OK"),
        ("LSET l 4 x", "-ERR index out of range"),
        ("LSET none 0 x", "-ERR no such key"),
        ("LRANGE l 1 2", "*2 $1 B $1 c"),
        ("LRANGE l -2 -1", "*2 $1 c $1 D"),
        ("LRANGE l 3 1", "*0"),
        ("LRANGE l -100 100", "*4 $1 a $1 B $1 c $1 D"),
        ("LRANGE l 0 9223372036854775807", "*4 $1 a $1 B $1 c $1 D"),
        ("LRANGE l -9223372036854775808 0", "*1 $1 a"),
        ("LRANGE none 0 -1", "*0"),
        ("LLEN l", ":4"),
        ("LLEN none", ":0"),
    ]);
}

#[test]
fn insertions_removals_and_trims() {
    check(&[
        ("RPUSH l a b a c a", ":5"),
        ("LINSERT l BEFORE b x", ":6"),
        ("LINSERT l after b y", ":7"),
        ("LINSERT l AFTER none z", ":-1"),
        ("LINSERT none AFTER a z", ":0"),
        ("LINSERT l BESIDE a z", SYNTAX),
        ("LRANGE l 0 -1", "*7 $1 a $1 x $1 b $1 y $1 a $1 c $1 a"),
        ("LREM l -2 a", ":2"),
        ("LRANGE l 0 -1", "*5 $1 a $1 x $1 b $1 y $1 c"),
        ("LREM l 1 a", ":1"),
        ("LREM l 0 none", ":0"),
        ("LTRIM l 1 -2", "+OK"),
        ("LRANGE l 0 -1", "*2 $1 b $1 y"),
        ("LTRIM l 5 10", "+OK"),
        ("EXISTS l", ":0"),
        ("LTRIM none 0 1", "+OK"),
        ("SET s v", "+OK"),
        ("LPUSH s a", WRONG_TYPE),
        ("LREM s 0 a", WRONG_TYPE),
        ("LLEN s", WRONG_TYPE),
    ]);
}

#[test]
fn positions() {
    check(&[
        ("RPUSH l a b c 1 2 3 c c", ":8"),
        ("LPOS l c", ":2"),
        ("LPOS l c RANK 2", ":6"),
        ("LPOS l c RANK -1", ":7"),
        ("LPOS l c RANK -2 COUNT 0", "*2 :6 :2"),
        ("LPOS l c COUNT 0 MAXLEN 3", "*1 :2"),
        ("LPOS l c COUNT 2", "*2 :2 :6"),
        ("LPOS l none", "$-1"),
        ("LPOS l none COUNT 1", "*0"),
        ("LPOS none c", "$-1"),
        ("LPOS l c COUNT -1", "-ERR COUNT can't be negative"),
        ("LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative"),
        ("LPOS l c RANK", SYNTAX),
    ]);
}

#[test]
fn elements_move() {
    check(&[
        ("RPUSH a 1 2 3", ":3"),
        ("LMOVE a b LEFT RIGHT", "$1 1"),
        ("RPOPLPUSH a b", "$1 3"),
        ("LRANGE b 0 -1", "*2 $1 3 $1 1"),
        ("LMOVE b b RIGHT LEFT", "$1 1"),
        ("LRANGE b 0 -1", "*2 $1 1 $1 3"),
        ("LMOVE none b LEFT LEFT", "$-1"),
        ("LMOVE a b UP LEFT", SYNTAX),
        ("SET s v", "+OK"),
        ("LMOVE a s LEFT LEFT", WRONG_TYPE),
        ("LRANGE a 0 -1", "*1 $1 2"),
        ("LMPOP 2 none b LEFT COUNT 5", "*2 $1 b *2 $1 1 $1 3"),
        ("LMPOP 1 none LEFT", "*-1"),
        ("LMPOP 0 a LEFT", "-ERR numkeys should be greater than 0"),
        (
            "LMPOP 1 a LEFT COUNT 0",
            "-ERR count should be greater than 0",
        ),
        ("LMPOP 2 a LEFT", SYNTAX),
        ("LMPOP 1 a LEFT COUNT 1 COUNT 1", SYNTAX),
    ]);
}

#[test]
fn lists_are_copied_renamed_and_deleted() {
    check(&[
        ("RPUSH l a b", ":2"),
        ("COPY l m", ":1"),
        ("RPUSH m c", ":3"),
        ("RENAME m n", "+OK"),
        ("LRANGE n 0 -1", "*3 $1 a $1 b $1 c"),
        ("LRANGE l 0 -1", "*2 $1 a $1 b"),
        ("SET l v", "+OK"),
        ("GET l", "$1 v"),
        ("DEL n", ":1"),
        ("LLEN n", ":0"),
        ("RPUSH n z", ":1"),
        ("LRANGE n 0 -1", "*1 $1 z"),
    ]);
}

#[test]
fn a_transaction_on_one_list_is_one_net_effect() {
    check(&[
        ("RPUSH l a b c", ":3"),
        ("MULTI", "+OK"),
        ("LPOP l", "+QUEUED"),
        ("RPUSH l d", "+QUEUED"),
        ("LSET l 2 D", "+QUEUED"),
        ("LPUSH l x", "+QUEUED"),
        ("LPUSH l y z", "+QUEUED"),
        ("LREM l 1 y", "+QUEUED"),
        ("LINSERT l AFTER x w", "+QUEUED"),
        ("EXPIRE l 100", "+QUEUED"),
        ("RPOPLPUSH l l", "+QUEUED"),
        ("LRANGE l 0 -1", "+QUEUED"),
        (
            "EXEC",
            "*10 $1 a :3 +OK :4 :6 :1 :6 :1 $1 D *6 $1 D $1 z $1 x $1 w $1 b $1 c",
        ),
        ("LRANGE l 0 -1", "*6 $1 D $1 z $1 x $1 w $1 b $1 c"),
        ("TTL l", ":100"),
        ("MULTI", "+OK"),
        ("DEL l", "+QUEUED"),
        ("RPUSH l a", "+QUEUED"),
        ("RPUSH l b", "+QUEUED"),
        ("LPOP l", "+QUEUED"),
        ("EXEC", "*4 :1 :1 :2 $1 a"),
        ("LRANGE l 0 -1", "*1 $1 b"),
    ]);
}
