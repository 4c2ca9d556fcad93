//! A push that stands still.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use protocol::attic::NAR_INFO_HEADER;

use super::{Server, TestPath};

/// A push by hand that stops after half of the body.
pub(crate) struct HalfPush {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl HalfPush {
    pub(crate) fn start(server: &Server, path: &TestPath) -> Self {
        let about = serde_json::to_string(&path.upload_info("main")).unwrap();
        let head = format!(
            "PUT /_api/v1/upload-path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             {NAR_INFO_HEADER}: {about}\r\nContent-Length: {}\r\n\r\n",
            server.token(&[]),
            path.nar.len(),
        );
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let (half, rest) = path.nar.split_at(path.nar.len() / 2);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(half).unwrap();
        Self { stream, rest: rest.to_vec() }
    }

    /// Sends the rest.
    pub(crate) fn send_rest(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.stream.write_all(&rest).unwrap();
    }

    /// Sends the rest and returns what the server answers.
    pub(crate) fn finish(mut self) -> String {
        self.send_rest();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer
    }
}
