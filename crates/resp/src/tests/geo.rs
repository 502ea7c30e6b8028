use super::{SYNTAX, WRONG_TYPE, World, check, check_in, check_resp3};

const SICILY: (&str, &str) = (
    "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
    ":2",
);

#[test]
fn places_are_scores() {
    check(&[
        SICILY,
        ("TYPE g", "+zset"),
        ("ZSCORE g Palermo", "$16 3479099956230698"),
        ("GEOHASH g Palermo none", "*2 $11 sqc8b49rny0 $-1"),
        (
            "GEOPOS g Palermo none",
            "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1",
        ),
        ("GEODIST g Palermo Catania", "$11 166274.1516"),
        ("GEODIST g Palermo Catania km", "$8 166.2742"),
        ("GEODIST g Palermo none", "$-1"),
        ("GEODIST none a b", "$-1"),
        (
            "GEODIST g Palermo Catania x",
            "-ERR unsupported unit provided. please use M, KM, FT, MI",
        ),
        ("GEOADD g XX CH 14 38 Palermo 14 38 x", ":1"),
        ("GEOADD g NX 1 1 Palermo", ":0"),
        ("GEOADD g NX XX 1 1 Palermo", SYNTAX),
        ("GEOADD g 1 1 a 2", SYNTAX),
        (
            "GEOADD g 200 10 a",
            "-ERR invalid longitude,latitude pair 200.000000,10.000000",
        ),
        ("SET t 1", "+OK"),
        ("GEOADD t 1 1 a", WRONG_TYPE),
        ("GEOSEARCH t FROMLONLAT 1 1 BYRADIUS 1 m", WRONG_TYPE),
    ]);
    check_resp3(&[
        SICILY,
        (
            "GEOPOS g Palermo none",
            "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _",
        ),
    ]);
}

#[test]
fn what_lies_near() {
    check(&[
        SICILY,
        (
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC",
            "*2 $7 Catania $7 Palermo",
        ),
        (
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km DESC COUNT 1",
            "*1 $7 Palermo",
        ),
        (
            "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m WITHDIST WITHHASH",
            "*1 *3 $7 Palermo $6 0.0000 :3479099956230698",
        ),
        (
            "GEORADIUS g 15 37 100 km WITHDIST",
            "*1 *2 $7 Catania $7 56.4413",
        ),
        ("GEORADIUS_RO g 15 37 100 km STORE d", SYNTAX),
        (
            "GEORADIUSBYMEMBER g Palermo 170 km COUNT 1 DESC",
            "*1 $7 Catania",
        ),
        ("GEORADIUSBYMEMBER_RO g Palermo 1 km", "*1 $7 Palermo"),
        (
            "GEORADIUSBYMEMBER g none 170 km",
            "-ERR could not decode requested zset member",
        ),
        ("GEORADIUS g 15 37 200 km STORE d", ":2"),
        ("ZSCORE d Palermo", "$16 3479099956230698"),
        (
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 100 km STOREDIST",
            ":1",
        ),
        ("ZCARD d", ":1"),
        (
            "GEOSEARCHSTORE d none FROMLONLAT 15 37 BYRADIUS 100 km",
            ":0",
        ),
        ("EXISTS d", ":0"),
        (
            "GEOSEARCH g FROMLONLAT 1 1 FROMMEMBER a BYRADIUS 1 m",
            SYNTAX,
        ),
        (
            "GEOSEARCH g BYRADIUS 1 m ASC ASC",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH",
        ),
        (
            "GEOSEARCH g FROMLONLAT 1 1 ASC",
            "-ERR wrong number of arguments for 'geosearch' command",
        ),
        (
            "GEOSEARCH g FROMLONLAT 1 1 ASC ASC ASC",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        ),
        (
            "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m ANY",
            "-ERR the ANY argument requires COUNT argument",
        ),
        (
            "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m COUNT 0",
            "-ERR COUNT must be > 0",
        ),
        (
            "GEOSEARCHSTORE d g FROMLONLAT 1 1 BYRADIUS 1 m WITHDIST",
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ),
        ("GEORADIUS g 1 1 x m", "-ERR need numeric radius"),
        ("GEORADIUS g 1 1 -1 m", "-ERR radius cannot be negative"),
    ]);
}

// A store key that is not the first argument must not name Isles' own keys either.
#[test]
fn no_result_goes_to_reserved_keys() {
    let mut world = World::new();
    check_in(&mut world, &[SICILY]);
    for line in [
        r#"GEORADIUS g 15 37 200 km STORE "\0isles:keyspace:""#,
        r#"GEOSEARCHSTORE "\0isles:keyspace:" g FROMLONLAT 15 37 BYRADIUS 9 km"#,
        r#"ZUNIONSTORE "\x00isles:keyspace:" 1 g"#,
    ] {
        let line = line.replace(r"\0", r"\x00");
        assert!(
            world.run(&line).starts_with("-ERR keys that start with"),
            "{line}"
        );
    }
}
