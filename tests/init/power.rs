//! Power loss: what was not yet on disk is gone.
//!
//! The data lies on an ext4 in an image file. At a chance moment everything is killed, and the image is copied as
//! the disk had it: what the file system has not written by then is only in the kernel's memory and is not in the
//! copy. (That nothing was written while it was copied is known by the device's own count of writes.) The copy is
//! mounted, its journal replayed as after a real loss, and the next start must end complete and equal.
//!
//! The boot id in our journal becomes another one, as a real loss has it: the next start must not go on with what may be
//! half on disk. Half have the data directory in the file system, the others are its root: a mounted volume.

use crate::crash::{kill_everything, tool, undisturbed};
use crate::database::{Database, Dice, Place, number, tempfolder};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[test]
#[ignore = "minutes: make soak-databases"]
fn mariadb_survives_power_loss() {
    power_loss(Database::MariaDb);
}

#[test]
#[ignore = "minutes: make soak-databases"]
fn postgres_survives_power_loss() {
    power_loss(Database::Postgres);
}

/// An ext4 in a file.
struct Disk {
    device: String,
    mounted: PathBuf,
}

impl Disk {
    /// Mounts an image.
    fn mount(image: &Path, mounted: &Path) -> Disk {
        let device = tool(&["losetup", "--find", "--show", image.to_str().unwrap()]);
        tool(&["mount", &device, mounted.to_str().unwrap()]);
        Disk { device, mounted: mounted.to_owned() }
    }

    /// Writes that the device has taken so far.
    fn writes(&self) -> String {
        let name = self.device.trim_start_matches("/dev/");
        let stat = fs::read_to_string(format!("/sys/block/{name}/stat")).unwrap();
        let fields: Vec<&str> = stat.split_whitespace().collect();
        // Writes done, sectors written, and what is under way (Documentation/block/stat.rst).
        format!("{} {} {}", fields[4], fields[6], fields[8])
    }

    /// Copies the image as it is at one moment.
    fn copy_as_it_is(&self, image: &Path, copy: &Path) {
        loop {
            let before = self.writes();
            tool(&["cp", "--sparse=always", image.to_str().unwrap(), copy.to_str().unwrap()]);
            if before == self.writes() && before.ends_with(" 0") {
                return;
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mounted = self.mounted.to_str().unwrap();
        // What looked at it may still be on its way out.
        let unmounted = || std::process::Command::new("umount").arg(mounted).status();
        if !std::thread::panicking() {
            crate::support::wait_until("it is unmounted", || {
                unmounted().is_ok_and(|status| status.success())
            });
        } else {
            let _ = unmounted();
        }
        let _ = std::process::Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

fn power_loss(database: Database) {
    if !database.is_here() {
        return;
    }
    let free = std::process::Command::new("losetup").arg("--find").output();
    if !free.is_ok_and(|free| free.status.success()) {
        crate::support::loudly("SKIPPED: there is no loop device to mount a disk from");
        return;
    }
    let losses = number("SOAK_LOSSES", number("SOAK_KILLS", 200) / 4);
    let seed = number("SOAK_SEED", 1);
    let (reference, span) = undisturbed(database);
    let folder = tempfolder("images");
    fs::create_dir_all(&folder).unwrap();
    let (fresh, image, cut) = (folder.join("fresh"), folder.join("image"), folder.join("cut"));
    tool(&["truncate", "--size=1G", fresh.to_str().unwrap()]);
    tool(&["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", fresh.to_str().unwrap()]);
    let mut dice = Dice::seeded(seed);
    let (began, mut complete) = (Instant::now(), 0);
    for loss in 1..=losses {
        let mut place = Place::new(database);
        let disk = place.folder.join("disk");
        fs::create_dir(&disk).unwrap();
        let is_volume = loss % 2 == 0;
        place.data = if is_volume { disk.clone() } else { disk.join("data") };
        // After the end as well: what was said to be complete must be so.
        let moment = span.mul_f64(dice.share() * 1.3);
        let story = format!("{} seed {seed} loss {loss} at {} ms", database.name(), moment.as_millis());
        tool(&["cp", "--sparse=always", fresh.to_str().unwrap(), image.to_str().unwrap()]);
        let was_complete = {
            let mounted = Disk::mount(&image, &disk);
            let mut start = place.start(&[]);
            let end = Instant::now() + moment;
            while Instant::now() < end && start.runs() {
                std::thread::park_timeout(std::time::Duration::from_millis(1));
            }
            kill_everything(&mut start);
            let (status, _) = start.wait();
            mounted.copy_as_it_is(&image, &cut);
            crate::support::wait_until("nobody is at work", || place.at_work().is_empty());
            status.success()
        };
        let _mounted = Disk::mount(&cut, &disk);
        place.assert_nothing_half(&story);
        let is_complete = place.data.join(".minisup-initialised.json").exists();
        assert!(is_complete || !was_complete, "{story}: it had ended well, and is not there");
        complete += u32::from(was_complete);
        let holder = if is_volume { ".minisup-first-start" } else { ".data.minisup" };
        let journal = disk.join(holder).join("journal.json");
        if let Ok(text) = fs::read_to_string(&journal) {
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
            fs::write(&journal, text.replace(boot.trim(), "another")).unwrap();
        }
        place.must_complete(&reference, &story);
    }
    fs::remove_dir_all(folder).unwrap();
    eprintln!(
        "{}: power lost {losses} times (seed {seed}) in {} s, {complete} of them after the end; all complete and equal afterwards",
        database.name(),
        began.elapsed().as_secs(),
    );
}
