use proptest::prelude::*;

use super::*;

#[test]
fn strings_are_as_in_lua() {
    for (script, expected) in [
        ("return {('hello world'):find('o w')}", "[5 7]"),
        ("return {('a.b'):find('.', 1, true)}", "[2 2]"),
        ("return {('hello'):find('l', -2)}", "[4 4]"),
        ("return {('hello'):find('')}", "[1 0]"),
        ("return {('hello'):find('xyz') == nil}", "[1]"),
        ("return {('key=value'):match('(%w+)=(%w+)')}", "[key value]"),
        (
            "return {('2024-01-02'):match('^(%d+)-(%d+)-(%d+)$')}",
            "[2024 01 02]",
        ),
        ("return {('abc'):gsub('%w', '%0%0')}", "[aabbcc 3]"),
        ("return {('abc'):gsub('', '-')}", "[-a-b-c- 4]"),
        ("return {('abc'):gsub('%w*', 'x')}", "[xx 2]"),
        (
            "return {('hello world'):gsub('o', '0', 1)}",
            "[hell0 world 1]",
        ),
        ("return {('abc'):gsub('^a', 'x')}", "[xbc 1]"),
        (
            "return {('$name is $age'):gsub('%$(%w+)', {name='x', age=3})}",
            "[x is 3 2]",
        ),
        (
            "return {('abc'):gsub('(b)', function(c) return c:upper() end)}",
            "[aBc 1]",
        ),
        (
            "return {('abc'):gsub('b', function() return nil end)}",
            "[abc 1]",
        ),
        (
            "local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = k .. v end return t",
            "[a1 b2]",
        ),
        (
            "local t = {} for w in ('one two'):gmatch('%a+') do t[#t + 1] = w end return t",
            "[one two]",
        ),
        (
            "local n = 0 for _ in ('abc'):gmatch('') do n = n + 1 end return n",
            "4",
        ),
        ("return ('ab'):rep(3)", "ababab"),
        ("return ('x'):rep(-1)", ""),
        (
            "return string.format('%5.1f|%s|%q', 3.14159, 'a', 'b')",
            "  3.1|a|\"b\"",
        ),
        (
            "return (5):type()",
            "ERR user_script:1: attempt to index a number value",
        ),
        ("return ('x'):byte()", "120"),
        ("local t = {3, 1, 2} table.sort(t) return t", "[1 2 3]"),
        (
            "local t = {1} table.insert(t, 2) table.insert(t, 1, 0) return t",
            "[0 1 2]",
        ),
        ("return {math.floor(3.7), math.max(1, 5)}", "[3 5]"),
    ] {
        check(script, expected);
    }
    check_contains(
        "local at = ('x'):find('[')",
        "user_script:1: malformed pattern",
    );
    check_contains("local t = ('x'):gsub('x', '%')", "invalid use of '%'");
    check_contains(
        "return string.rep()",
        "bad argument #1 to 'rep' (string expected, got no value)",
    );
}

#[test]
fn random_numbers_follow_their_seed() {
    let script = "math.randomseed(7) return {math.random(1000000), math.random(1, 1000000)}";
    assert_eq!(shown(script), shown(script));
    check(
        "for i = 1, 100 do local x = math.random(3) if x < 1 or x > 3 then return x end end return 'ok'",
        "ok",
    );
    check_contains("return math.random(0)", "interval is empty");
}

#[test]
fn json_as_cjson() {
    for (script, expected) in [
        ("return cjson.encode({1, 2, 3})", "[1,2,3]"),
        ("return cjson.encode({})", "{}"),
        ("return cjson.encode({a = 1.5})", r#"{"a":1.5}"#),
        ("return cjson.encode({[5] = 1})", "[null,null,null,null,1]"),
        ("return cjson.encode({[1] = 1, a = 2}):len()", "13"),
        ("return cjson.encode('a\"/\\n\\1')", r#""a\"\/\n\u0001""#),
        ("return cjson.encode({true, cjson.null})", "[true,null]"),
        ("return cjson.encode(1e15)", "1e+15"),
        (
            "local t = cjson.decode('[0.0, -5e3, -1, 0.3e-3, -1023.2, 0e10]') return table.concat(t, ' ')",
            "0 -5000 -1 0.0003 -1023.2 0",
        ),
        (
            "local t = cjson.decode('{\"a\": [1, {\"b\": null}], \"c\": true}') return {t.a[1], t.a[2].b == cjson.null, t.c}",
            "[1 1 1]",
        ),
        (
            r#"return cjson.decode('"\\u00e9\\ud83d\\ude00\\n"')"#,
            "é😀\n",
        ),
        ("return cjson.decode('  7 ')", "7"),
    ] {
        check(script, expected);
    }
    for (script, expected) in [
        (
            "cjson.decode('{')",
            "Expected object key string but found T_END at character 2",
        ),
        ("cjson.decode('[1,')", "Expected value but found T_END"),
        (
            "cjson.decode('')",
            "Expected value but found T_END at character 1",
        ),
        (
            "cjson.decode('[1] x')",
            "Expected the end but found invalid token at character 5",
        ),
        (r#"cjson.decode('"\\ud800"')"#, "invalid unicode escape"),
        ("cjson.encode(print_ or function() end)", "nonexistent"),
        (
            "cjson.encode(function() end)",
            "Cannot serialise function: type not supported",
        ),
        ("cjson.encode(0/0)", "must not be NaN or Inf"),
        ("cjson.encode({[100] = 1})", "excessively sparse array"),
        (
            "cjson.encode({[{}] = 1})",
            "table key must be a number or string",
        ),
        ("cjson.encode()", "expected 1 argument"),
        ("cjson.decode(nil)", "string expected, got nil"),
    ] {
        check_contains(script, expected);
    }
}

#[test]
fn messages_as_cmsgpack() {
    let hex =
        "local h = '' for i = 1, #s do h = h .. string.format('%02x', s:byte(i)) end return h";
    for (value, expected) in [
        ("0.1", "cb3fb999999999999a"),
        ("1.5", "ca3fc00000"),
        ("-1099511627776", "d3ffffff0000000000"),
        ("127", "7f"),
        ("128", "cc80"),
        ("65536", "ce00010000"),
        ("4294967296", "cf0000000100000000"),
        ("-33", "d0df"),
        ("-1", "ff"),
        ("{1, 2}", "920102"),
        ("{}", "90"),
        ("{a = true}", "81a161c3"),
        ("nil, false", "c0c2"),
        ("string.rep('a', 32):len()", "20"),
        ("function() end", "c0"),
    ] {
        check(&format!("local s = cmsgpack.pack({value}) {hex}"), expected);
    }
    check(
        "return {cmsgpack.unpack(cmsgpack.pack(1, 'a', {2}))}",
        "[1 a [2]]",
    );
    check("return {cmsgpack.unpack_one(cmsgpack.pack(1, 2))}", "[1 1]");
    check(
        "return {cmsgpack.unpack_limit(cmsgpack.pack(1, 2), 5, 1)}",
        "[-1 2]",
    );
    check_contains("cmsgpack.pack()", "MessagePack pack needs input");
    check_contains("cmsgpack.unpack('\\x92')", "");
    check_contains("cmsgpack.unpack('\\220')", "Missing bytes in input");
    check_contains("cmsgpack.unpack('\\193')", "Bad data format in input");
}

#[test]
fn bits_as_bitop() {
    for (script, expected) in [
        ("return bit.tobit(0xffffffff)", "-1"),
        ("return bit.tobit(2^40 + 5)", "5"),
        ("return bit.band(0x12345678, 0xff)", "120"),
        ("return bit.bor(1, 2, 4)", "7"),
        ("return bit.bxor(0xa5a5f0f0, 0xaa55ff00)", "267390960"),
        ("return bit.lshift(1, 31)", "-2147483648"),
        ("return bit.rshift(-1, 28)", "15"),
        ("return bit.arshift(-256, 4)", "-16"),
        ("return bit.tohex(bit.rol(0x12345678, 12))", "45678123"),
        ("return bit.tohex(bit.ror(0x12345678, 12))", "67812345"),
        ("return bit.tohex(bit.bswap(0x12345678))", "78563412"),
        ("return {bit.tohex(255, 2), bit.tohex(-1, -4)}", "[ff FFFF]"),
        ("return bit.bnot(0)", "-1"),
    ] {
        check(script, expected);
    }
    check_contains("bit.band()", "number expected, got no value");
}

#[test]
fn structs_as_struct() {
    for (script, expected) in [
        (
            "return {struct.unpack('HH', struct.pack('HH', 1, 65535))}",
            "[1 65535 5]",
        ),
        (
            "return {struct.unpack('>i2>I4', struct.pack('>i2>I4', -2, 7))}",
            "[-2 7 7]",
        ),
        (
            "return {struct.unpack('s', struct.pack('s', 'abc'))}",
            "[abc 5]",
        ),
        (
            "return {struct.unpack('Bc0', struct.pack('Bc0', 3, 'abc'))}",
            "[abc 5]",
        ),
        ("return struct.size('bhilq' and 'bhil')", "15"),
        ("return struct.size('!8bd')", "16"),
        (
            "return (struct.unpack('<d', struct.pack('<d', 1.5))) * 2",
            "3",
        ),
        ("return {struct.unpack('c2', 'abcd', 3)}", "[cd 5]"),
    ] {
        check(script, expected);
    }
    check_contains("struct.unpack('I4', 'ab')", "data string too short");
    check_contains("struct.pack('z', 1)", "invalid format option 'z'");
    check_contains(
        "struct.pack('I99', 1)",
        "integral size 99 is larger than limit of 32",
    );
    check_contains("struct.unpack('I4', 'abcd', 2^40)", "data string too short");
    check_contains(
        "return struct.size('c99999999999999999999')",
        "integral size overflow",
    );
    check_contains("struct.size('s')", "variable-size format");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decoders_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40), format in "[<>!bBhHilLfdsxc0-9 ]{0,8}") {
        let mut lua = Interpreter::new("7.0.15");
        let script = lua.compile(b"
            local a = {pcall(cjson.decode, ARGV[1])}
            local b = {pcall(cmsgpack.unpack, ARGV[1])}
            local c = {pcall(struct.unpack, ARGV[2], ARGV[1])}
            local d = {pcall(string.find, ARGV[1], ARGV[1])}
            local e = {pcall(loadstring, ARGV[1])}
            return {#a, #b, #c, #d, #e}").expect("compiles");
        let outcome = lua.run(&script, &[], &[&bytes, format.as_bytes()], &mut Echo::default(), &limit());
        prop_assert!(matches!(outcome, Ok(Answer::Array(_))), "{:?}", outcome);
        prop_assert!(!lua.is_spoiled());
    }

    #[test]
    fn values_come_back(number in any::<f64>(), whole in any::<i32>(), text in ".{0,20}") {
        let mut lua = Interpreter::new("7.0.15");
        let script = format!("
            local n, w = {number:?}, {whole}
            local a, b, c = cmsgpack.unpack(cmsgpack.pack(n, w, ARGV[1]))
            local d = cjson.decode(cjson.encode({{w, ARGV[1]}}))
            local e, f = struct.unpack('di', struct.pack('di', n, w))
            return {{a == n, b == w, c == ARGV[1], d[1] == w, d[2] == ARGV[1], e == n, f == w}}");
        prop_assume!(number.is_finite());
        let answer = run_on(&mut lua, &script, &[&text]).expect("an answer");
        prop_assert_eq!(show(&answer), "[1 1 1 1 1 1 1]");
    }
}
