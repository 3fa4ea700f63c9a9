//! docker/employees: nginx, gunicorn and Flask beside a database that is filled at its first start.

use crate::browser;
use crate::container::{Alone, Container, WAYS};
use crate::docker::{docker, stdout};
use crate::http;
use crate::stack::Stack;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every static file, and what it is.
const FILES: &[(&str, &str)] = &[
    ("/static/style.css", "text/css"),
    ("/static/sort.js", "application/javascript"),
    ("/static/logo.svg", "image/svg+xml"),
];

/// So many employees the image makes up.
const EMPLOYEES: &str = "3000";

/// Whoever is hired by a test: found by this name, and by nothing that the sample has.
const HIRED: &str = "Hired By A Test";

const TABLES: [(&str, &str); 6] = [
    ("departments", "dept_no, dept_name"),
    ("employees", "emp_no, birth_date, first_name, last_name, gender, hire_date"),
    ("dept_emp", "emp_no, dept_no, from_date, to_date"),
    ("dept_manager", "emp_no, dept_no, from_date, to_date"),
    ("titles", "emp_no, title, from_date, to_date"),
    ("salaries", "emp_no, salary, from_date, to_date"),
];

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn employees_are_shown_and_kept_in_one_container() {
    let stack = Stack::built("employees/compose.single.yaml");
    stack.up();
    let all = stack.container("employees");
    assert_sample_is_shown(&all, &all);
    all.assert_files(FILES);
    all.assert_root_only_supervises();
    hire(&all);
    assert_hired(&all);

    stack.restart();
    assert_hired(&all);
    all.crash();
    assert_hired(&all);
    all.kill();
    stack.up();
    assert_hired(&all);
    for service in ["database", "app", "web"] {
        all.kill_service(service);
        assert_hired(&all);
    }
    eprintln!("employees in one: docker stop took {:?}", all.stop());
    stack.down();
    stack.up();
    let all = stack.container("employees");
    assert_hired(&all);
    assert_sample_is_shown(&all, &all);
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn employees_are_shown_and_kept_with_a_container_per_tier() {
    let stack = Stack::built("employees/compose.yaml");
    stack.up();
    let (web, database) = (stack.container("web"), stack.container("database"));
    assert_sample_is_shown(&web, &database);
    web.assert_files(FILES);
    web.assert_root_only_supervises();
    database.assert_root_only_supervises();
    assert_passwords_are_nowhere(&[&web, &database]);
    look_at(&web);
    hire(&database);
    assert_hired(&web);

    stack.restart();
    assert_hired(&web);
    for tier in [&database, &web] {
        tier.crash();
        assert_hired(&web);
        tier.kill();
        stack.up();
        assert_hired(&web);
    }
    for (name, tier) in [("web", &web), ("database", &database)] {
        eprintln!("employees, {name}: docker stop took {:?}", tier.stop());
    }
    stack.down();
    stack.up();
    let (web, database) = (stack.container("web"), stack.container("database"));
    assert_hired(&web);
    assert_sample_is_shown(&web, &database);
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn the_employees_app_waits_for_its_database_and_outlives_it() {
    let stack = Stack::built("employees/compose.yaml");
    stack.start("web");
    let web = stack.container("web");
    web.wait_until_it_says("waiting for tcp://database:3306");
    assert!(!web.logs().contains("Listening at"), "gunicorn is not launched yet\n{}", web.logs());
    let refused = http::ask(web.address().unwrap(), "GET", "/", &[], "");
    assert!(refused.is_none(), "{refused:?}");

    stack.start("database");
    web.wait_for("/");
    web.assert_it_waits_in_few_lines();

    let (started, database) = (web.started(), stack.container("database"));
    database.stop();
    let away = web.wait_for_status("/", 503);
    assert!(away.body.contains("The database is away"), "{}", away.body);
    assert_eq!(web.get("/healthz").status, 200, "the app itself is well");
    web.assert_files(FILES);
    stack.start("database");
    web.wait_for("/");
    database.crash();
    web.wait_for("/");
    assert_eq!(web.started(), started, "the app's container was not restarted");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn a_database_that_is_killed_while_employees_are_imported_ends_complete() {
    let made = Made::of(20);
    let folder = made.folder.to_str().unwrap();
    let files = ["employees/compose.yaml", "employees/compose.test_db.yaml"];
    let stack = Stack::built_of(&files, &[("TEST_DB", folder)]);
    for moment in ["making the data directory", "initialising 1/2"] {
        stack.kill_at("database", "database-init", moment);
    }
    stack.up();
    let database = stack.container("database");
    assert_eq!(database.logs().matches("is ready for its server").count(), 1, "{}", database.logs());
    for (line, (table, columns)) in made.expected.lines().zip(TABLES) {
        assert_eq!(checksum(&database, table, columns), line);
    }
    let people = sql(&database, "SELECT COUNT(*) FROM employees");
    assert_eq!(sql(&database, "SELECT COUNT(*) FROM dept_emp_latest_date"), people);
    let page = stack.container("web").wait_for("/employees");
    assert!(page.body.contains(&format!("<h1>{people} employees</h1>")), "{}", page.body);
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn the_employees_app_runs_however_it_is_locked_up() {
    let stack = Stack::built("employees/compose.yaml");
    stack.up();
    let (image, network) = (stack.image("web"), stack.network());
    let mut options = vec!["--network", &network];
    let password = fs::read_to_string(docker_file("secrets/app_password")).unwrap();
    let password = format!("DATABASE_PASSWORD={}", password.trim_end());
    for variable in ["WAIT_FOR=tcp://database:3306", "DATABASE_HOST=database", &password] {
        options.extend(["--env", variable]);
    }
    let database = stack.container("database");
    for way in WAYS {
        let web = Alone::run(&image, &[&options[..], way].concat());
        web.wait_until_healthy();
        assert_sample_is_shown(&web, &database);
        web.assert_files(FILES);
        eprintln!("employees {way:?}: docker stop took {:?}", web.stop());
    }
}

/// What the database holds is what the pages show.
fn assert_sample_is_shown(web: &Container, database: &Container) {
    let page = one_line(&web.wait_for("/").body);
    let rows = sql(
        database,
        "SELECT dept_name, COUNT(*), FORMAT(ROUND(AVG(salary)), 0)
         FROM departments JOIN current_dept_emp USING (dept_no) JOIN salaries s USING (emp_no)
         WHERE s.to_date = '9999-01-01' AND emp_no < 900000 GROUP BY dept_name",
    );
    // Whoever was hired by a test has no salary, and is in no average.
    assert_eq!(rows.lines().count(), 9, "{rows}");
    for row in rows.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let shown = format!(
            "{}</a></td> <td class=\"number\">{}</td><td class=\"number\">{}</td>",
            fields[0], fields[1], fields[2]
        );
        assert!(page.contains(&shown), "{shown}\nis not in\n{page}");
    }
    assert_eq!(sql(database, "SELECT COUNT(*) FROM employees WHERE emp_no < 900000"), EMPLOYEES);

    // By a part of a name, with a quote in it, a page at a time; letters that are not ASCII.
    let count = sql(database, "SELECT COUNT(*) FROM employees WHERE last_name LIKE 'O''Conn%'");
    let first = web.get("/employees?q=o'conn").body;
    assert!(first.contains(&format!("<h1>{count} employees named")), "{first}");
    assert!(first.contains("O&#39;Connor"), "{first}");
    let second = web.get("/employees?q=o'conn&page=2").body;
    let (first, second) = (numbers(&first), numbers(&second));
    assert_eq!((first.len(), second.len()), (25, 25));
    assert!(first.iter().all(|number| !second.contains(number)), "{first:?} {second:?}");
    let last = count.parse::<usize>().unwrap().div_ceil(25);
    let rest = numbers(&web.get(&format!("/employees?q=o'conn&page={last}")).body).len();
    assert_eq!(rest, count.parse::<usize>().unwrap() - 25 * (last - 1));
    assert!(web.get("/employees?q=Bj%C3%B6rn").body.contains("Björn"));
    assert!(web.get("/employees?q=%25").body.contains("<h1>0 employees"), "% is a letter here");

    let person = web.get(&format!("/employees/{}", first[0]));
    assert!(
        person.body.contains("O&#39;Connor") && person.body.contains("<td>today</td>"),
        "{}",
        person.body
    );
    assert_eq!(web.get("/employees/1").status, 404);
}

/// As a person does: sorts a table, searches.
fn look_at(web: &Container) {
    let page = browser::look("employees", &web.url("/"), "button", "background-color", "rgb(138, 75, 8)");
    page.is("document.querySelectorAll('#departments th')[1].click()");
    let counts = page.is(
        "[...document.querySelectorAll('#departments tbody tr')].map(r => Number(r.cells[1].textContent))",
    );
    let counts: Vec<u64> = counts.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
    assert!(counts.len() == 9 && counts.is_sorted(), "{counts:?}");
    page.write("input[name=q]", "o'conn");
    page.follow("document.forms[0].submit()");
    page.fits();
    page.complains_of_nothing();
    assert!(page.text().contains("O'Connor") && page.text().contains("Page 1 of"), "{}", page.text());
}

/// The numbers of the employees on a page.
fn numbers(page: &str) -> Vec<&str> {
    page.split("<a href=\"/employees/").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// A row that no first start makes.
fn hire(database: &Container) {
    sql(
        database,
        "INSERT INTO employees VALUES (999999, '1970-01-01', 'Hired', 'By A Test', 'F', '2002-01-01');
         INSERT INTO dept_emp VALUES (999999, 'd001', '2002-01-01', '9999-01-01')",
    );
}

fn assert_hired(web: &Container) {
    let page = web.wait_for(&format!("/employees?q={}", HIRED.replace(' ', "+")));
    assert!(page.body.contains("<h1>1 employee named") && page.body.contains(HIRED), "{}", page.body);
}

/// Neither in what the engine tells of a container nor in its log.
fn assert_passwords_are_nowhere(containers: &[&Container]) {
    for file in ["secrets/root_password", "secrets/app_password"] {
        let password = fs::read_to_string(docker_file(file)).unwrap();
        for container in containers {
            let told = docker(&["inspect", &container.field("Id")]) + &container.logs();
            assert!(!told.contains(password.trim_end()), "{file}\n{told}");
        }
    }
}

/// As the generator says it: the table, its rows, and the sum over them.
fn checksum(database: &Container, table: &str, columns: &str) -> String {
    let query = format!(
        "SELECT CONCAT('{table} ', COUNT(*), ' ',
         SUM(CAST(CONV(LEFT(MD5(CONCAT_WS('#', {columns})), 8), 16, 10) AS UNSIGNED))) FROM {table}"
    );
    sql(database, &query)
}

/// Asks the database as its root, in its container.
fn sql(database: &Container, query: &str) -> String {
    let client = "exec mysql --user=root --password=\"$(cat /run/secrets/root_password)\" \
                  --default-character-set=utf8mb4 --batch --skip-column-names employees --execute=\"$0\"";
    let output = database.exec(&["sh", "-c", client, query]);
    assert!(output.status.success(), "{query}: {output:?}");
    stdout(&output).trim_end().to_owned()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

fn docker_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/employees").join(name)
}

/// The shape of test_db, so many times smaller, in a directory as test_db's own; and what must be counted.
struct Made {
    folder: PathBuf,
    expected: String,
}

impl Made {
    fn of(divisor: u32) -> Made {
        let folder = std::env::temp_dir().join(format!("minisup-employees-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/employees.c");
        let program = folder.join("generate");
        let compiled = Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(source).status().unwrap();
        assert!(compiled.success());
        let output =
            Command::new(&program).arg("mysql").arg(&folder).arg(divisor.to_string()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        // The original ends with it.
        fs::write(folder.join("show_elapsed.sql"), "SELECT COUNT(*) FROM employees;\n").unwrap();
        Made { folder, expected: stdout(&output) }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
