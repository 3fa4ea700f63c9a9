//! A file's content, unpacked on the way: gzip, xz, zstd, bzip2.
//!
//! By ourselves, in a stream, so that an image needs no tools and nothing is unpacked to disk. Files that
//! consist of several members, streams or frames (what `cat a.gz b.gz`, pigz, pzstd and pbzip2 write) are
//! read to their end, as the tools do. Checksums are checked. How much memory a file may ask for is limited
//! as the tools limit it: `xz -9` and `zstd --long=27` are within.

use super::listing::Packing;
use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is read from the disk at a time.
const PORTION: usize = 64 * 1024;

/// So much memory may a file ask for, in KiB: twice what `xz -9` needs.
const XZ_MEMORY: u32 = 128 * 1024;

/// So large may zstd's window be: its own tool's limit without --long.
const ZSTD_WINDOW: u64 = 128 << 20;

/// A file that is read unpacked.
pub struct Unpacked {
    path: PathBuf,
    content: Content,
    taken: Rc<Cell<u64>>,
    size: u64,
    is_over: bool,
}

enum Content {
    Plain(Source),
    Gzip(Option<GzDecoder<Source>>),
    Xz(Box<lzma_rust2::XzReader<Source>>),
    Zstd(Box<Zstd>),
    Bzip2(bzip2::bufread::MultiBzDecoder<Source>),
}

impl Unpacked {
    /// Opens a file. Nothing is read yet.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &Path, packing: Packing) -> io::Result<Unpacked> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let taken = Rc::new(Cell::new(0));
        let source = Source { file, buffer: Vec::new(), at: 0, taken: taken.clone() };
        let content = match packing {
            Packing::None => Content::Plain(source),
            Packing::Gzip => Content::Gzip(Some(GzDecoder::new(source))),
            Packing::Xz => {
                Content::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, XZ_MEMORY)))
            }
            Packing::Zstd => Content::Zstd(Box::new(Zstd::new(source))),
            Packing::Bzip2 => Content::Bzip2(bzip2::bufread::MultiBzDecoder::new(source)),
        };
        Ok(Unpacked { path: path.to_owned(), content, taken, size, is_over: false })
    }

    /// How many bytes of the file, as it lies on the disk, have been used.
    pub fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// How many bytes it has on the disk; it may have grown since.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Which file, where in it, and what is the matter.
    fn damage(&self, error: io::Error) -> io::Error {
        let (path, taken, size) = (self.path.display(), self.taken(), self.size);
        let text = match root(&error) {
            _ if matches!(self.content, Content::Plain(_)) => format!("{path}, byte {taken}: {error}"),
            Some(ErrorKind::UnexpectedEof) if taken >= size => {
                format!("{path} ends too early, after {taken} bytes: was it copied whole?")
            }
            Some(ErrorKind::OutOfMemory) => format!(
                "{path} needs more than {} MB of memory to be unpacked: pack it again with less (xz -9, zstd -19)",
                XZ_MEMORY / 1024
            ),
            _ => format!("{path} is damaged at about byte {taken} of {size}: {error}"),
        };
        io::Error::new(ErrorKind::InvalidData, text)
    }
}

impl Read for Unpacked {
    /// Errors name the file and the place. After one, and after the end, there is nothing more.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_over || buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.content {
            Content::Plain(source) => source.read(buffer),
            Content::Gzip(decoder) => read_members(decoder, buffer),
            Content::Xz(decoder) => decoder.read(buffer),
            Content::Zstd(decoder) => decoder.read(buffer),
            Content::Bzip2(decoder) => decoder.read(buffer),
        };
        match read {
            Ok(count) => {
                self.is_over = count == 0;
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.is_over = true;
                Err(self.damage(error))
            }
        }
    }
}

/// What an error came from in the end.
fn root(error: &io::Error) -> Option<ErrorKind> {
    let mut kind = error.kind();
    let mut cause: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            kind = io.kind();
            cause = io.get_ref().map(|inner| inner as _);
        } else if let Some(FrameDecoderError::WindowSizeTooBig { .. }) = inner.downcast_ref() {
            return Some(ErrorKind::OutOfMemory);
        } else {
            cause = inner.source();
        }
    }
    Some(kind)
}

/// Member after member (RFC 1952, 2.2), until the file ends, or only zeros follow, as tapes and tar leave them.
fn read_members(decoder: &mut Option<GzDecoder<Source>>, buffer: &mut [u8]) -> io::Result<usize> {
    while let Some(member) = decoder {
        let count = member.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        let Some(mut source) = decoder.take().map(GzDecoder::into_inner) else { return Ok(0) };
        loop {
            let rest = source.fill_buf()?;
            let zeros = rest.iter().take_while(|byte| **byte == 0).count();
            let (is_end, next) = (rest.is_empty(), rest.get(zeros).copied());
            source.consume(zeros);
            if is_end {
                return Ok(0);
            }
            if next.is_some_and(|next| next != 0x1f) {
                return Err(io::Error::new(ErrorKind::InvalidData, "what follows is not gzip"));
            }
            if next.is_some() {
                *decoder = Some(GzDecoder::new(source));
                break;
            }
        }
    }
    Ok(0)
}

/// Frames of Zstandard (RFC 8878), one after another; skippable ones are skipped.
struct Zstd {
    source: Source,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl Zstd {
    fn new(source: Source) -> Zstd {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW);
        Zstd { source, decoder, is_in_frame: false }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let step = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, step).map_err(io::Error::other)?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let (said, is) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            if said.is_some() && said != is {
                return Err(io::Error::new(ErrorKind::InvalidData, "the checksum of a frame is wrong"));
            }
            self.is_in_frame = false;
        }
    }

    /// Begins the next frame, if there is one.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.is_in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

/// A file that counts what was taken of it, not what was read ahead.
struct Source {
    file: File,
    buffer: Vec<u8>,
    at: usize,
    taken: Rc<Cell<u64>>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // As much as we would read ourselves: straight to where it is wanted.
        if self.at == self.buffer.len() && buffer.len() >= PORTION {
            let count = self.file.read(buffer)?;
            self.taken.set(self.taken.get() + count as u64);
            return Ok(count);
        }
        let there = self.fill_buf()?;
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            self.at = 0;
            self.buffer.resize(PORTION, 0);
            let read = self.file.read(&mut self.buffer);
            self.buffer.truncate(read.as_ref().map_or(0, |count| *count));
            read?;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
        self.taken.set(self.taken.get() + count as u64);
    }
}

#[cfg(test)]
mod tests;
