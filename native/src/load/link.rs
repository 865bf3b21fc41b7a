//! One non-blocking connection: whole frames in, one `send` a frame out.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::frame;

/// Bytes read at once, and the room for a broken frame at the end of a read.
const READ: usize = 64 * 1024;
/// What may wait for a peer that does not read; beyond it the connection counts as closed.
const WAITING_MAX: usize = 64 << 20;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Now,
    /// The peer does not read; the frame waits behind others.
    Later,
    Closed,
}

/// A stream with its unfinished frame and what waits to be written.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    input: Vec<u8>,
    start: usize,
    end: usize,
    waiting: Vec<u8>,
    /// Of `waiting`, what the socket has taken.
    taken: usize,
    /// Whoever polls it waits until the peer takes more.
    pub watched: bool,
    pub closed: bool,
}

impl Link {
    /// # Errors
    /// When the stream refuses to be made non-blocking.
    pub fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: vec![0; READ],
            start: 0,
            end: 0,
            waiting: Vec::new(),
            taken: 0,
            watched: false,
            closed: false,
        })
    }

    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() && !self.closed
    }

    /// Reads once. False when there was nothing, or nothing more will come.
    pub fn fill(&mut self) -> bool {
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        loop {
            match self.stream.read(&mut self.input[self.end..]) {
                Ok(0) => {
                    self.closed = true;
                    return false;
                }
                Ok(count) => {
                    self.end += count;
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.closed |= error.kind() != ErrorKind::WouldBlock;
                    return false;
                }
            }
        }
    }

    /// The next whole body that was read: its place in `input`.
    pub fn next_body(&mut self) -> Option<(usize, usize)> {
        match frame::cut(&self.input[self.start..self.end]) {
            Ok(Some(body)) => {
                let from = self.start + frame::PREFIX;
                let place = (from, from + body.len());
                self.start = place.1;
                Some(place)
            }
            Ok(None) => None,
            Err(frame::Lost) => {
                self.closed = true;
                None
            }
        }
    }

    #[must_use]
    pub fn body(&self, place: (usize, usize)) -> &[u8] {
        &self.input[place.0..place.1]
    }

    /// Hands one frame to the socket.
    pub fn send(&mut self, frame: &[u8]) -> Sent {
        if self.closed {
            return Sent::Closed;
        }
        if !self.waiting.is_empty() {
            return self.wait(frame);
        }
        loop {
            match self.stream.write(frame) {
                Ok(count) if count == frame.len() => return Sent::Now,
                Ok(count) => return self.wait(&frame[count..]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.wait(frame),
                Err(_) => {
                    self.closed = true;
                    return Sent::Closed;
                }
            }
        }
    }

    /// Keeps a frame for the next `flush`, behind what waits.
    pub fn gather(&mut self, frame: &[u8]) -> Sent {
        if self.closed {
            return Sent::Closed;
        }
        self.wait(frame)
    }

    fn wait(&mut self, bytes: &[u8]) -> Sent {
        if self.waiting.len() - self.taken + bytes.len() > WAITING_MAX {
            self.closed = true;
            return Sent::Closed;
        }
        self.waiting.extend_from_slice(bytes);
        Sent::Later
    }

    /// Writes what waits, as far as the peer takes it.
    pub fn flush(&mut self) {
        while self.is_waiting() {
            match self.stream.write(&self.waiting[self.taken..]) {
                Ok(count) => {
                    self.taken += count;
                    // What was taken goes when it is at least half: nothing is moved twice.
                    if self.taken * 2 >= self.waiting.len() {
                        self.waiting.drain(..self.taken);
                        self.taken = 0;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.closed |= error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }
}
