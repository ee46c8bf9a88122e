//! The servers that other tests use: they are what they should be, and never
//! outlive the tests.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use confab_tests::harness::backends;

/// One command, in Redis' own protocol, and the first line of its answer.
fn redis(address: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("Redis listens");
    write!(stream, "{command}\r\n").expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.extend(byte);
    }
    String::from_utf8_lossy(&answer).trim_end().to_owned()
}

/// Comes first in the suite's order, so that the slow server starts early.
#[tokio::test]
async fn a_redis_answers() {
    backends::begin();
    let test = "backends::a_redis_answers";
    let Some(address) = backends::redis_or_skip(test).await else { return };
    assert_eq!(redis(&address, "PING"), "+PONG");
}

#[tokio::test]
async fn a_redis_of_ones_own_can_be_killed_and_comes_back_empty() {
    let test = "backends::a_redis_of_ones_own_can_be_killed_and_comes_back_empty";
    let Some(mut own) = backends::own_redis_or_skip(test).await else { return };
    let address = own.address().to_string();
    assert_eq!(redis(&address, "SET name value"), "+OK");
    own.server().kill9();
    assert!(TcpStream::connect(&address).is_err(), "it is gone");
    own.server().start().expect("it starts again, at the same address");
    assert_eq!(redis(&address, "EXISTS name"), ":0");
}

/// Asks for what the server supports, which every CQL server answers to anybody.
#[tokio::test]
async fn a_cql_server_answers() {
    let Some(addresses) = backends::cql_or_skip("backends::a_cql_server_answers").await else {
        return;
    };
    for address in addresses.0 {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        // Version 4, no flags, stream 0, OPTIONS, no body.
        stream.write_all(&[4, 0, 0, 0, 5, 0, 0, 0, 0]).expect("written");
        let mut header = [0; 9];
        stream.read_exact(&mut header).expect("an answer");
        assert_eq!((header[0], header[4]), (0x84, 6), "SUPPORTED, to {address}");
    }
}
