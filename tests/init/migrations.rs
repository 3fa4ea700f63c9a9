//! A migration that is killed halfway: it runs on the real data, so it is neither moved aside nor run a second time on
//! its own. The next start says so and runs nothing until somebody has decided; then it ends complete.

use crate::crash::{VICTIMS, Victim, strike, tool, until};
use crate::database::{Database, Dice, Place, number};
use crate::support;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What migrations have done, when they have.
const QUESTION: &str = "SELECT COUNT(*), SUM(id) FROM m";

/// A complete database, which is copied for each death.
struct Template {
    place: Place,
    /// What it is when its migrations have run.
    reference: String,
    /// How long they take.
    span: Duration,
}

fn rows(table: &str, from: u32, to: u32) -> String {
    (from..to).map(|id| format!("INSERT INTO {table} VALUES ({id});\n")).collect()
}

fn question(database: Database) -> &'static str {
    match database {
        Database::MariaDb => "SELECT COUNT(*), SUM(id) FROM d.m",
        Database::Postgres => QUESTION,
    }
}

impl Template {
    fn new(database: Database) -> Template {
        let place = Place::new(database);
        let (status, said) = place.start(&[]).wait();
        assert!(status.success(), "{said}");
        let mut template = Template { place, reference: String::new(), span: Duration::ZERO };
        let undisturbed = template.copy();
        let began = Instant::now();
        let (status, said) = migrate(&undisturbed).wait();
        assert!(status.success(), "{said}");
        template.span = began.elapsed();
        template.reference = database.fingerprint_with(&undisturbed.data, question(database));
        template
    }

    /// A place of its own with the same data, and three migrations.
    fn copy(&self) -> Place {
        let place = Place::new(self.place.database);
        tool(&["cp", "-a", self.place.data.to_str().unwrap(), place.data.to_str().unwrap()]);
        let each = each_start(&place);
        fs::create_dir(&each).unwrap();
        fs::set_permissions(&each, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(each.join("1_table.sql"), "CREATE TABLE m (id INT PRIMARY KEY);\n").unwrap();
        fs::write(each.join("2_rows.sql"), rows("m", 0, 1500)).unwrap();
        let packed = fs::File::create(each.join("3_more.sql.gz")).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        gzip.write_all(rows("m", 1500, 2500).as_bytes()).unwrap();
        gzip.finish().unwrap();
        place
    }

    /// What the next start must do: end complete, or refuse with what is to be done; then that is done. Returns
    /// whether somebody had to decide.
    fn must_complete(&self, place: &Place, story: &str) -> bool {
        let database = place.database;
        let (status, said) = migrate(place).wait();
        assert_eq!(place.at_work(), Vec::<String>::new(), "{story}: left over\n{said}");
        let is_refused = !status.success();
        if is_refused {
            assert_eq!(status.code(), Some(78), "{story}: {status}\n{said}");
            assert!(said.contains("was begun ") && said.contains(" and did not end ("), "{story}: {said}");
            assert!(said.contains("give it another name, or change it"), "{story}: {said}");
            let (again, _) = migrate(place).wait();
            assert_eq!(again.code(), Some(78), "{story}: it stays so until somebody decides");
            decide(place, &said);
            let (status, said) = migrate(place).wait();
            assert!(status.success(), "{story}, decided: {status}\n{said}");
        }
        let now = database.fingerprint_with(&place.data, question(database));
        assert_eq!(now, self.reference, "{story}: it differs\n{said}");
        let (status, said) = migrate(place).wait();
        assert!(status.success() && !said.contains("script 1 of"), "{story}: nothing is run twice: {said}");
        is_refused
    }
}

fn each_start(place: &Place) -> PathBuf {
    place.folder.join("migrations")
}

fn migrate(place: &Place) -> crate::database::Start {
    let each = each_start(place);
    place.start_with(&[], &["--each-start", each.to_str().unwrap()])
}

/// The one that did not end is changed so that it can run on what it has left.
fn decide(place: &Place, said: &str) {
    let half = |name: &str| said.contains(&format!("{name} was begun "));
    let each = each_start(place);
    if half("1_table.sql") {
        fs::write(each.join("1_table.sql"), "CREATE TABLE IF NOT EXISTS m (id INT PRIMARY KEY);\n").unwrap();
    } else if half("2_rows.sql") {
        fs::write(each.join("2_rows.sql"), "DELETE FROM m;\n".to_owned() + &rows("m", 0, 1500)).unwrap();
    } else {
        assert!(half("3_more.sql.gz"), "{said}");
        let text = "DELETE FROM m WHERE id >= 1500;\n".to_owned() + &rows("m", 1500, 2500);
        fs::remove_file(each.join("3_more.sql.gz")).unwrap();
        fs::write(each.join("3_more_again.sql"), text).unwrap();
    }
}

#[test]
#[ignore = "minutes: make soak-databases"]
fn mariadb_survives_deaths_in_migrations() {
    deaths(Database::MariaDb);
}

#[test]
#[ignore = "minutes: make soak-databases"]
fn postgres_survives_deaths_in_migrations() {
    deaths(Database::Postgres);
}

fn deaths(database: Database) {
    if !database.is_here() {
        return;
    }
    let (kills, seed) = (number("SOAK_KILLS", 200).div_ceil(4), number("SOAK_SEED", 1));
    let template = Template::new(database);
    let mut dice = Dice::seeded(seed);
    let mut died: BTreeMap<Victim, u64> = BTreeMap::new();
    let (mut hit, mut decided, mut tries) = (0, 0, 0);
    let began = Instant::now();
    while hit < kills {
        tries += 1;
        let place = template.copy();
        let victim = VICTIMS[(dice.next() % 4) as usize];
        let moment = template.span.mul_f64(dice.share());
        let mut start = migrate(&place);
        until(Instant::now() + moment, || false);
        hit += u64::from(start.runs());
        strike(&mut start, victim, database);
        let (status, said) = start.wait();
        *died.entry(victim).or_default() += 1;
        let story = format!("{} seed {seed} migration {tries} {victim:?} after {moment:?}", database.name());
        assert!(victim != Victim::Minisup || !status.success() || said.contains("3_more"), "{story}: {said}");
        decided += u64::from(template.must_complete(&place, &story));
    }
    eprintln!(
        "{}: migrations disturbed at {hit} moments before their end and {} after it (seed {seed}), in {} s; {decided} were \
         half done and said so, all were complete and equal afterwards; who: {died:?}",
        database.name(),
        tries - hit,
        began.elapsed().as_secs(),
    );
}

#[test]
fn a_mariadb_whose_migration_was_killed_halfway_says_so_until_somebody_decides() {
    killed_halfway(Database::MariaDb);
}

#[test]
fn a_postgres_whose_migration_was_killed_halfway_says_so_until_somebody_decides() {
    killed_halfway(Database::Postgres);
}

/// The pid of its server may be anybody's by then, and the file may say no more than that.
#[test]
fn a_postgres_that_was_killed_as_it_began_to_start_for_migrations_starts_again() {
    let database = Database::Postgres;
    if !database.is_here() {
        return;
    }
    let template = Template::new(database);
    let place = template.copy();
    fs::write(place.data.join(".minisup-alive"), "").unwrap();
    let mut somebody = std::process::Command::new("runuser")
        .args(["-u", "postgres", "--", "sleep", "1000"])
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", somebody.id());
    let mut pid = String::new();
    support::wait_until("a process of the server's user", || {
        pid = fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
        !pid.is_empty()
    });
    fs::write(place.data.join("postmaster.pid"), format!("{pid}\n{}\n", place.data.display())).unwrap();
    let (status, said) = migrate(&place).wait();
    tool(&["kill", &pid]);
    somebody.wait().unwrap();
    assert!(status.success(), "{said}");
    assert_eq!(database.fingerprint_with(&place.data, question(database)), template.reference);
}

/// minisup alone is killed, in the middle of a script: its temporary server outlives it.
fn killed_halfway(database: Database) {
    if !database.is_here() {
        return;
    }
    let template = Template::new(database);
    let place = template.copy();
    // The last of its rows wait for a table that somebody else has locked: so it is in its middle.
    let reached = place.folder.join("reached");
    let script = each_start(&place).join("2_rows.sql");
    let wait = format!("\\! touch {0}; while [ -e {0} ]; do sleep 0.05; done\n", reached.display());
    fs::set_permissions(&place.folder, fs::Permissions::from_mode(0o777)).unwrap();
    let text = rows("m", 0, 700) + &wait + &rows("m", 700, 1500);
    fs::write(&script, text).unwrap();
    let mut start = migrate(&place);
    support::wait_until("the middle of the script", || reached.exists() || !start.runs());
    assert!(start.runs(), "{}", start.wait().1);
    strike(&mut start, Victim::Minisup, database);
    let (status, _) = start.wait();
    assert_eq!(status.code(), None, "it was killed");
    fs::remove_file(&reached).unwrap();
    let is_refused = template.must_complete(&place, "killed in the middle");
    assert!(is_refused, "a migration that is half done is never passed over");
}
