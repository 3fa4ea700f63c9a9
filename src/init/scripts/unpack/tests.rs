//! What the real tools wrote is read as they read it.

use super::*;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// The tools, by packing.
const TOOLS: [(&str, Packing); 4] =
    [("gzip", Packing::Gzip), ("xz", Packing::Xz), ("zstd", Packing::Zstd), ("bzip2", Packing::Bzip2)];

/// A file that is removed when it is no longer needed.
struct Temporary(PathBuf);

impl Temporary {
    fn new(content: &[u8]) -> Temporary {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("minisup-unpack-{}-{number}", std::process::id()));
        fs::write(&path, content).unwrap();
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// What the tool makes of the content; `None`: it is not installed here.
fn pack(tool: &str, level: &str, content: &[u8]) -> Option<Vec<u8>> {
    let from = Temporary::new(content);
    let mut command = Command::new(tool);
    command.args(["-c", level]).stdin(fs::File::open(&from.0).unwrap()).stderr(Stdio::inherit());
    match command.output() {
        Ok(done) => {
            assert!(done.status.success(), "{tool}");
            Some(done.stdout)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            writeln!(io::stderr(), "skipped: {tool} is not installed").unwrap();
            None
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

/// Everything in a file with this content, or what was said of it, and how much was taken.
fn unpack(content: &[u8], packing: Packing) -> (Result<Vec<u8>, String>, u64) {
    let file = Temporary::new(content);
    let mut unpacked = Unpacked::open(&file.0, packing).unwrap();
    let mut all = Vec::new();
    let read = unpacked.read_to_end(&mut all);
    let said = read.map(|_| all).map_err(|error| error.to_string().replace(file.0.to_str().unwrap(), "FILE"));
    (said, unpacked.taken())
}

/// Text that packs neither badly nor perfectly.
fn text(lines: usize) -> Vec<u8> {
    let mut seed = 1u32;
    let mut text = Vec::new();
    for line in 0..lines {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(text, "INSERT INTO salaries VALUES ({line},{},'1986-06-{:02}');", seed >> 8, seed % 28)
            .unwrap();
    }
    text
}

#[test]
fn every_packing_gives_what_was_packed() {
    for (tool, packing) in TOOLS {
        for (level, content) in
            [("-1", text(4_000)), ("-9", text(30_000)), ("-6", vec![]), ("-6", b"x".to_vec())]
        {
            let Some(packed) = pack(tool, level, &content) else { continue };
            assert_eq!(Packing::of_magic(&packed), packing);
            let (unpacked, taken) = unpack(&packed, packing);
            assert!(unpacked.unwrap() == content, "{tool} {level}");
            assert_eq!(taken, packed.len() as u64, "{tool} {level}");
        }
    }
}

#[test]
fn members_streams_and_frames_may_follow_one_another() {
    let (one, two) = (text(5_000), text(70));
    for (tool, packing) in TOOLS {
        let (Some(mut packed), Some(second)) = (pack(tool, "-6", &one), pack(tool, "-6", &two)) else {
            continue;
        };
        packed.extend(second);
        let (unpacked, taken) = unpack(&packed, packing);
        assert!(unpacked.unwrap() == [one.clone(), two.clone()].concat(), "{tool}");
        assert_eq!(taken, packed.len() as u64);
    }
}

#[test]
fn what_is_cut_off_is_said_to_be() {
    for (tool, packing) in TOOLS {
        let Some(packed) = pack(tool, "-6", &text(4_000)) else { continue };
        for keep in [packed.len() / 2, packed.len() - 3] {
            let (unpacked, _) = unpack(&packed[..keep], packing);
            let said = unpacked.unwrap_err();
            assert!(said.starts_with("FILE ends too early, after "), "{tool}, {keep}: {said}");
        }
    }
}

#[test]
fn what_is_damaged_is_said_to_be_with_the_place() {
    for (tool, packing) in TOOLS {
        let Some(mut packed) = pack(tool, "-6", &text(4_000)) else { continue };
        let middle = packed.len() / 2;
        packed[middle] ^= 0x10;
        packed[middle + 1] ^= 0x55;
        let (unpacked, taken) = unpack(&packed, packing);
        let said = unpacked.unwrap_err();
        assert!(said.starts_with("FILE is damaged at about byte "), "{tool}: {said}");
        // A checksum may be what tells, at the end of its block.
        assert!(taken + 70_000 > middle as u64, "{tool}: {taken} of {middle}");
    }
}

#[test]
fn zeros_after_a_gzip_member_are_padding_and_anything_else_is_damage() {
    let Some(packed) = pack("gzip", "-6", b"select 1;\n") else { return };
    let padded = [&packed[..], &[0; 70_000]].concat();
    assert_eq!(unpack(&padded, Packing::Gzip).0.unwrap(), b"select 1;\n");
    let (dirty, _) = unpack(&[&packed[..], b"garbage"].concat(), Packing::Gzip);
    assert!(dirty.unwrap_err().starts_with("FILE is damaged at about byte"));
}

#[test]
fn zstd_skips_what_is_to_be_skipped() {
    let Some(packed) = pack("zstd", "-3", b"select 1;\n") else { return };
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"notes"].concat();
    let all = [&skippable[..], &packed, &skippable, &packed].concat();
    assert_eq!(unpack(&all, Packing::Zstd).0.unwrap(), b"select 1;\nselect 1;\n");
}

#[test]
fn a_file_that_wants_too_much_memory_is_refused() {
    let Some(packed) = pack("xz", "--lzma2=dict=1536MiB", b"select 1;\n") else { return };
    let said = unpack(&packed, Packing::Xz).0.unwrap_err();
    assert!(said.starts_with("FILE needs more than 128 MB of memory to be unpacked"), "{said}");
}

#[test]
fn a_plain_file_is_given_as_it_is() {
    let content = text(3_000);
    assert!(unpack(&content, Packing::None) == (Ok(content.clone()), content.len() as u64));
}
