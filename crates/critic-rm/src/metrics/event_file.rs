use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file of scalars that TensorBoard reads.
///
/// Records of TFRecord, each an `Event` of TensorFlow's `event.proto`: length (u64), its masked CRC-32C, the
/// event, its masked CRC-32C, all little-endian.
#[derive(Debug)]
pub(super) struct EventFile(File);

impl EventFile {
    /// Starts a file at step `first`; what earlier files of the folder say about later steps is void.
    pub(super) fn create(folder: &Path, first: usize) -> io::Result<Self> {
        let now = wall_time();
        // TensorBoard reads the files of a folder in the order of their names.
        let name = format!("events.out.tfevents.{:010}.{first:08}.critic-rm", now as u64);
        let mut file = Self(File::create(folder.join(name))?);
        let mut version = Message::event(now, 0);
        version.bytes(3, b"brain.Event:2");
        file.write(&version)?;
        let mut start = Message::default();
        start.varint(1, 1);
        let mut event = Message::event(now, first);
        event.bytes(7, &start.0);
        file.write(&event)?;
        Ok(file)
    }

    /// Adds scalars of a step.
    pub(super) fn add(
        &mut self,
        step: usize,
        scalars: &[(impl AsRef<str>, f64)],
    ) -> io::Result<()> {
        self.write(&summary(wall_time(), step, scalars))
    }

    fn write(&mut self, event: &Message) -> io::Result<()> {
        self.0.write_all(&record(&event.0))
    }
}

/// An event with the values of some scalars.
fn summary(wall_time: f64, step: usize, scalars: &[(impl AsRef<str>, f64)]) -> Message {
    let mut summary = Message::default();
    for (tag, value) in scalars {
        let mut scalar = Message::default();
        scalar.bytes(1, tag.as_ref().as_bytes());
        scalar.float(2, *value as f32);
        summary.bytes(1, &scalar.0);
    }
    let mut event = Message::event(wall_time, step);
    event.bytes(5, &summary.0);
    event
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let masked = |bytes: &[u8]| {
        crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
    };
    [&length[..], &masked(&length), event, &masked(event)].concat()
}

#[expect(
    clippy::disallowed_methods,
    reason = "events are stamped for people; nothing depends on it"
)]
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A protocol buffer message under construction.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    /// `Event { wall_time, step, … }`; a step of zero is not written, as in every proto3 writer.
    fn event(wall_time: f64, step: usize) -> Self {
        let mut message = Self::default();
        message.key(1, 1);
        message.0.extend(wall_time.to_le_bytes());
        if step > 0 {
            message.varint(2, step as u64);
        }
        message
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.number(field << 3 | wire_type);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.number(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_byte_for_byte_those_of_tensorboards_own_writer() {
        let golden = include_bytes!("../../../../reference/golden/tensorboard.tfevents");
        let mut version = Message::event(1.5, 0);
        version.bytes(3, b"brain.Event:2");
        let mut start = Message::default();
        start.varint(1, 1);
        let mut session = Message::event(1.5, 300);
        session.bytes(7, &start.0);
        let scalars = [("loss/joint", 0.25), ("schedule/critique_weight", 1.0)];
        let events =
            [version, session, summary(2.5, 300, &scalars), summary(3.5, 0, &[("a", -1e9)])];
        let found: Vec<u8> = events.iter().flat_map(|event| record(&event.0)).collect();
        assert_eq!(found, golden);
    }
}
