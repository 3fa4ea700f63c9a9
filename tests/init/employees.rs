//! The shape of test_db's `employees` through a first start: nothing is lost, little memory is used, and
//! it takes no longer than the client by hand.
//!
//! The rows come from tests/support/employees.c, which also says what must be counted in the end. The small
//! one runs always; the one at full scale, against the clients by hand, is `make import-databases`.

use crate::first::First;
use crate::postgres::{as_postgres, first as postgres, programs};
use crate::support::{loudly, wait_until};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Peak memory of the satellite must stay below it.
const MEMORY_KB: u64 = 16 * 1024;

/// More, if what runs is the debug build: the pages of its 100 MB count as well.
const DEBUG_KB: u64 = 32 * 1024;

/// The tables, with their columns.
const TABLES: [(&str, &str); 6] = [
    ("departments", "dept_no, dept_name"),
    ("employees", "emp_no, birth_date, first_name, last_name, gender, hire_date"),
    ("dept_emp", "emp_no, dept_no, from_date, to_date"),
    ("dept_manager", "emp_no, dept_no, from_date, to_date"),
    ("titles", "emp_no, title, from_date, to_date"),
    ("salaries", "emp_no, salary, from_date, to_date"),
];

#[derive(Clone, Copy, PartialEq)]
enum Database {
    Postgres,
    MariaDb,
}

use Database::{MariaDb, Postgres};

impl Database {
    fn dialect(self) -> &'static str {
        match self {
            Postgres => "postgres",
            MariaDb => "mysql",
        }
    }

    fn is_here(self) -> bool {
        match self {
            Postgres => programs().is_some(),
            MariaDb => Path::new("/usr/sbin/mariadbd").exists(),
        }
    }

    fn first(self) -> First {
        match self {
            Postgres => postgres().with("POSTGRES_DB", "employees"),
            MariaDb => {
                let first = First::of("mariadb");
                let data = first.data();
                let server = ["mariadbd", "--no-defaults", "--datadir", data.to_str().unwrap()];
                let first =
                    first.with("MARIADB_ROOT_PASSWORD", "secret").with("MARIADB_INITDB_SKIP_TZINFO", "1");
                first.server(&server)
            }
        }
    }

    /// A script that prints each table's rows and sum.
    fn check(self) -> String {
        let mut script = String::from("#!/bin/sh\nset -e\n");
        for (table, columns) in TABLES {
            script += &match self {
                Postgres => format!(
                    "psql -X -At -d employees -c \"SELECT '{table} ' || count(*) || ' ' || \
                     sum(('x' || left(md5(concat_ws('#', {columns})), 8))::bit(32)::bigint) FROM {table}\"\n"
                ),
                MariaDb => format!(
                    "mariadb -uroot -p\"$MARIADB_ROOT_PASSWORD\" --default-character-set=utf8mb4 -N employees -e \
                     \"SELECT CONCAT('{table} ', COUNT(*), ' ', \
                     SUM(CAST(CONV(LEFT(MD5(CONCAT_WS('#', {columns})), 8), 16, 10) AS UNSIGNED))) FROM {table}\"\n"
                ),
            };
        }
        script
    }

    /// The client by hand in the directory of the files, with its input.
    fn client(self, socket: &Path) -> Command {
        let mut command = match self {
            Postgres => {
                let mut psql = Command::new(programs().unwrap().join("psql"));
                psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "employees", "-h"])
                    .arg(socket);
                psql
            }
            MariaDb => {
                let mut mariadb = Command::new("mariadb");
                mariadb.args([
                    "--no-defaults",
                    "-uroot",
                    "-psecret",
                    "--default-character-set=utf8mb4",
                    "--socket",
                ]);
                mariadb.arg(socket.join("sock"));
                mariadb
            }
        };
        command.stdout(Stdio::null());
        command
    }

    /// The server by hand, with what the temporary one has.
    fn serve(self, data: &Path, socket: &Path) -> Child {
        let mut command = match self {
            Postgres => {
                let mut postgres = Command::new(programs().unwrap().join("postgres"));
                postgres
                    .args(["-c", "listen_addresses=", "-c", "ssl=off", "-k"])
                    .arg(socket)
                    .arg("-D")
                    .arg(data);
                as_postgres(&mut postgres);
                postgres
            }
            MariaDb => {
                let mut mariadbd = Command::new("/usr/sbin/mariadbd");
                mariadbd.args(["--no-defaults", "--skip-networking", "--user=mysql", "--datadir"]).arg(data);
                mariadbd.arg(format!("--socket={}", socket.join("sock").display()));
                mariadbd
            }
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the server by hand answers", || {
            let mut asked = self.client(socket);
            asked.arg(if self == Postgres { "-c" } else { "-e" }).arg("SELECT 1").stderr(Stdio::null());
            asked.status().unwrap().success()
        });
        child
    }
}

/// The files, so many times smaller, and what must be counted.
fn generate(database: Database, directory: &Path, divisor: u32) -> String {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/employees.c");
    let program = directory.join("employees");
    let compiled =
        Command::new("cc").args(["-O2", "-Wall", "-o"]).arg(&program).arg(source).status().unwrap();
    assert!(compiled.success());
    let mut command = Command::new(&program);
    command.arg(database.dialect()).arg(directory).arg(divisor.to_string());
    let output = command.output().unwrap();
    assert!(output.status.success());
    fs::remove_file(program).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// One file of all of them, in place of the lines that include them.
fn joined(directory: &Path, into: &mut dyn Write) {
    for line in BufReader::new(File::open(directory.join("employees.sql")).unwrap()).lines() {
        let line = line.unwrap();
        let included = line.strip_prefix("\\i ").or_else(|| line.strip_prefix("source "));
        match included {
            Some(name) => {
                let name = name.trim_end_matches([' ', ';']);
                std::io::copy(&mut File::open(directory.join(name)).unwrap(), into).unwrap();
            }
            None => writeln!(into, "{line}").unwrap(),
        }
    }
}

/// What the scripts around the import say: how long it took, and the peak memory of minisup until then.
struct Import {
    milliseconds: u64,
    memory: u64,
}

const STAMP: &str = "#!/bin/sh\necho \"stamp $(date +%s%N)\"\n";
const PEAK: &str = "#!/bin/sh\necho \"stamp $(date +%s%N)\"\ngrep VmHWM /proc/$PPID/status\n";

/// Imports what `prepare` puts into the scripts' directory, and counts.
fn import(database: Database, expected: &str, prepare: impl Fn(&Path)) -> Import {
    let first = database
        .first()
        .script("10-begin.run.sh", STAMP)
        .script("30-end.run.sh", PEAK)
        .script("40-check.run.sh", database.check());
    prepare(&first.folder.join("scripts"));
    let said = first.succeed();
    for line in expected.lines() {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
    let after = |mark: &'static str| {
        said.lines().filter_map(move |line| line.split_once(mark).map(|(_, rest)| rest.trim().to_owned()))
    };
    let stamps: Vec<u64> = after("stamp ").map(|stamp| stamp.parse().unwrap()).collect();
    let memory = after("VmHWM:").next().unwrap();
    let memory = memory.split_whitespace().next().unwrap().parse().unwrap();
    let limit = if std::env::var_os("MINISUP").is_some() { MEMORY_KB } else { DEBUG_KB };
    assert!(memory < limit, "{memory} kB");
    Import { milliseconds: (stamps[1] - stamps[0]) / 1_000_000, memory }
}

fn link(from: &Path, into: &Path, sql: &str) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let name = if name == "employees.sql" { sql.to_owned() } else { name };
        fs::hard_link(entry.path(), into.join(name)).unwrap();
    }
}

fn small(database: Database) {
    if !database.is_here() {
        return loudly("skipped: the database is not installed");
    }
    let folder = database.first();
    let made = folder.folder.join("made");
    fs::create_dir(&made).unwrap();
    let expected = generate(database, &made, 100);
    import(database, &expected, |scripts| link(&made, scripts, "20-employees.sql"));
    import(database, &expected, |scripts| {
        let file = File::create(scripts.join("20-employees.sql.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        joined(&made, &mut packed);
        packed.finish().unwrap();
    });
}

#[test]
fn a_hundredth_of_employees_arrives_in_postgresql() {
    small(Postgres);
}

#[test]
fn a_hundredth_of_employees_arrives_in_mariadb() {
    small(MariaDb);
}

/// By hand: the server, then the client with this shell command for its input.
fn by_hand(database: Database, made: &Path, how: &str) -> u64 {
    let first = database.first();
    first.succeed();
    let socket = first.folder.join("socket");
    fs::create_dir(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let mut server = database.serve(&first.data(), &socket);
    let client = database.client(&socket);
    let words: Vec<String> = std::iter::once(client.get_program())
        .chain(client.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let script = format!("set -e; {}", how.replace("CLIENT", &words.join(" ")));
    let begun = Instant::now();
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &script]).current_dir(made).stdout(Stdio::null());
    assert!(shell.status().unwrap().success());
    let took = begun.elapsed().as_millis() as u64;
    let signal = if database == Postgres {
        nix::sys::signal::Signal::SIGINT
    } else {
        nix::sys::signal::Signal::SIGTERM
    };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.id() as i32), signal).unwrap();
    server.wait().unwrap();
    took
}

/// What all that has ended below us has taken of processors so far, in milliseconds (proc_pid_stat(5), cutime and cstime).
/// It says more than a clock where others are at work.
fn processor_time() -> u64 {
    const MILLISECONDS_OF_A_TICK: u64 = 10;
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
    (ticks(13) + ticks(14)) * MILLISECONDS_OF_A_TICK
}

fn best_and_middle(mut times: Vec<u64>) -> (u64, u64) {
    times.sort_unstable();
    (times[0], times[times.len() / 2])
}

/// In turns, so that what else the machine does meets both; the middle one of each counts.
fn compare(database: Database) {
    if !database.is_here() {
        return loudly("skipped: the database is not installed");
    }
    let folder = database.first();
    let made: PathBuf = folder.folder.join("made");
    fs::create_dir(&made).unwrap();
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (divisor, rounds) = (number("DIVISOR", 1), number("ROUNDS", 3));
    let expected = generate(database, &made, divisor);
    let bytes: u64 = fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    let whole = folder.folder.join("whole.sql");
    joined(&made, &mut File::create(&whole).unwrap());
    let pack = |program: &str| {
        let status = Command::new(program).args(["-k", "-q", "-f"]).arg(&whole).status();
        status.is_ok_and(|status| status.success())
    };
    let plain = if database == Postgres { "CLIENT -f employees.sql" } else { "CLIENT < employees.sql" };
    let mut ways = vec![("plain", "20-employees.sql", plain)];
    for (program, name, how) in [
        ("gzip", "20-employees.sql.gz", "gzip -dc ../whole.sql.gz | CLIENT"),
        ("zstd", "20-employees.sql.zst", "zstd -dcq ../whole.sql.zst | CLIENT"),
    ] {
        if pack(program) {
            ways.push((program, name, how));
        } else {
            loudly(&format!("left out: there is no {program}"));
        }
    }
    // WAYS="zstd" has only that one.
    let only = std::env::var("WAYS").unwrap_or_default();
    ways.retain(|(way, ..)| only.is_empty() || only.split(' ').any(|asked| asked == *way));
    loudly(&format!("{}: {} MB, the middle of {rounds}", database.dialect(), bytes / 1_000_000));
    for (way, name, how) in ways {
        let (mut ours, mut theirs, mut memory) = (Vec::new(), Vec::new(), 0);
        let mut work = [u64::MAX; 2];
        for round in 0..rounds {
            // Who was first in one round is second in the next.
            for is_ours in [round % 2 == 0, round % 2 != 0] {
                let before = processor_time();
                if is_ours {
                    let imported = import(database, &expected, |scripts| match way {
                        "plain" => link(&made, scripts, name),
                        _ => {
                            let packed = whole.with_file_name(name.replacen("20-employees", "whole", 1));
                            fs::hard_link(packed, scripts.join(name)).unwrap();
                        }
                    });
                    ours.push(imported.milliseconds);
                    memory = memory.max(imported.memory);
                } else {
                    theirs.push(by_hand(database, &made, how));
                }
                let spent = &mut work[usize::from(!is_ours)];
                *spent = (*spent).min(processor_time() - before);
            }
        }
        let [(best, middle), (best_by_hand, middle_by_hand)] = [ours, theirs].map(best_and_middle);
        let times = middle as f64 / middle_by_hand as f64;
        loudly(&format!(
            "  {way}: {middle} ms, by hand {middle_by_hand} ms ({times:.3} x); the best {best} ms, {best_by_hand} ms; processor time, \
             with the making of the data, {} ms and {} ms; peak memory {memory} kB",
            work[0], work[1]
        ));
        // The aim is 1.03; beyond this it is no noise any more.
        assert!(times < 1.15, "{way}: {times:.3} times the client by hand");
    }
}

#[test]
#[ignore = "minutes: make import-databases"]
fn all_of_employees_arrives_in_postgresql_as_fast_as_by_hand() {
    compare(Postgres);
}

#[test]
#[ignore = "minutes: make import-databases"]
fn all_of_employees_arrives_in_mariadb_as_fast_as_by_hand() {
    compare(MariaDb);
}
