//! Clients' ends of the streams: Rust's two of each, and discord.py's own.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use zstd_safe::{DCtx, InBuffer, OutBuffer};

/// Reads a zlib stream message by message, 32 KiB at a time.
pub fn miniz(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut state = InflateState::new_boxed(DataFormat::Zlib);
    let mut room = vec![0; 32 * 1024];
    let mut read = |message: &Vec<u8>| {
        let mut input = &message[..];
        let mut text = Vec::new();
        loop {
            let result = inflate(&mut state, input, &mut room, MZFlush::Sync);
            input = &input[result.bytes_consumed..];
            text.extend(&room[..result.bytes_written]);
            if input.is_empty() && result.bytes_written < room.len() {
                return text;
            }
            result.status.unwrap();
        }
    };
    messages.iter().map(&mut read).collect()
}

/// Reads a zstd stream message by message, in the way of twilight: 32 KiB at a time until it is not filled.
pub fn libzstd(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut context = DCtx::create();
    let mut room = vec![0; 32 * 1024];
    let mut read = |message: &Vec<u8>| {
        let mut input = InBuffer::around(message);
        let mut text = Vec::new();
        loop {
            let mut output = OutBuffer::around(&mut room[..]);
            context.decompress_stream(&mut output, &mut input).map_err(zstd_safe::get_error_name).unwrap();
            let len = output.pos();
            text.extend(&room[..len]);
            if input.pos() == message.len() && len < room.len() {
                return text;
            }
        }
    };
    messages.iter().map(&mut read).collect()
}

/// Reads a whole zstd stream, which this decoder gives out only behind its window.
pub fn ruzstd(messages: &[Vec<u8>]) -> Vec<u8> {
    let empty_last_block = [1, 0, 0];
    let frame = [&messages.concat()[..], &empty_last_block].concat();
    let mut input = &frame[..];
    let mut decoder = FrameDecoder::new();
    decoder.init(&mut input).unwrap();
    let mut text = Vec::new();
    while !decoder.is_finished() {
        decoder.decode_blocks(&mut input, BlockDecodingStrategy::UptoBlocks(64)).unwrap();
        decoder.collect_to_writer(&mut text).unwrap();
    }
    decoder.collect_to_writer(&mut text).unwrap();
    text
}

/// What discord.py makes of each message: `compression` is its name for the stream.
pub fn discordpy(compression: &str, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/clients/decompression");
    assert!(
        folder.join(".venv/.installed").is_file(),
        "discord.py is not installed: run `make clients`, or `make test`, which does"
    );
    let mut child = Command::new(folder.join(".venv/bin/python"))
        .args(["decompress.py", compression])
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answer = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || {
            for message in messages {
                stdin.write_all(&(message.len() as u32).to_le_bytes()).unwrap();
                stdin.write_all(message).unwrap();
            }
        });
        stdout.read_to_end(&mut answer).unwrap();
    });
    assert!(child.wait().unwrap().success(), "discord.py failed");
    let mut texts = Vec::new();
    let mut rest = &answer[..];
    while let Some((len, behind)) = rest.split_first_chunk() {
        let (text, behind) = behind.split_at(u32::from_le_bytes(*len) as usize);
        texts.push(text.to_vec());
        rest = behind;
    }
    texts
}
