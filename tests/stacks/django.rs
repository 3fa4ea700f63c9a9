//! docker/django: gunicorn, nginx and PostgreSQL.

use crate::browser::Page;
use crate::container::{Alone, Container, WAYS};
use crate::docker::stdout;
use crate::http::{self, Answer};
use crate::stack::Stack;
use std::fs;

/// Files that must be there, in the places of nginx.conf; all others are asked for, too.
const FILES: &[(&str, &str)] = &[
    ("/static/stylesheets/styles.css", "text/css"),
    ("/static/javascripts/app.js", "application/javascript"),
    ("/static/partials/note.html", "text/html"),
    ("/static/images/logo.svg", "image/svg+xml"),
    ("/static/admin/css/base.css", "text/css"),
    ("/static/admin/js/core.js", "application/javascript"),
    ("/static/admin/js/vendor/jquery/jquery.js", "application/javascript"),
    ("/static/admin/img/icon-yes.svg", "image/svg+xml"),
];

/// The notes that the migration wrote.
const MIGRATED: &str = "This row was written by a migration";

/// What somebody leaves who has logged in.
const LEFT: &str = "Left+by+a+test";

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn somebody_logs_into_django_in_one_container() {
    let stack = Stack::built("django/compose.single.yaml");
    stack.up();
    let all = stack.container("django");
    assert_every_file(&all);
    all.assert_root_only_supervises();
    leave_a_note(&all);

    stack.restart();
    assert_note_is_there(&all);
    all.crash();
    assert_note_is_there(&all);
    all.kill();
    stack.up();
    assert_note_is_there(&all);
    for service in ["database", "app", "web"] {
        all.kill_service(service);
        assert_note_is_there(&all);
    }
    eprintln!("django in one: docker stop took {:?}", all.stop());
    stack.down();
    stack.up();
    let all = stack.container("django");
    assert_note_is_there(&all);
    log_in(&all);
    assert!(all.logs().contains("admin is there already"), "{}", all.logs());
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn somebody_logs_into_django_with_a_container_per_tier() {
    let stack = Stack::built("django/compose.yaml");
    stack.up();
    let (web, database) = (stack.container("web"), stack.container("database"));
    assert_every_file(&web);
    web.assert_root_only_supervises();
    database.assert_root_only_supervises();
    leave_a_note(&web);
    look_at(&web);

    stack.restart();
    assert_note_is_there(&web);
    for tier in [&database, &web] {
        tier.crash();
        assert_note_is_there(&web);
        tier.kill();
        stack.up();
        assert_note_is_there(&web);
    }
    for (name, tier) in [("web", &web), ("database", &database)] {
        eprintln!("django, {name}: docker stop took {:?}", tier.stop());
    }
    stack.down();
    stack.up();
    let web = stack.container("web");
    assert_note_is_there(&web);
    log_in(&web);
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn django_waits_for_its_database_migrates_it_and_outlives_it() {
    let stack = Stack::built("django/compose.yaml");
    stack.start("web");
    let web = stack.container("web");
    web.wait_until_it_says("waiting for tcp://database:5432");
    assert!(!web.logs().contains("migrate started"), "nothing is migrated yet\n{}", web.logs());
    let refused = http::ask(web.address().unwrap(), "GET", "/", &[], "");
    assert!(refused.is_none(), "{refused:?}");

    // It is killed while it makes its data, and started again: nobody notices.
    stack.kill_at("database", "database-init", "making the data directory");
    let database = stack.container("database");
    database.start();
    let notes = web.wait_for("/api/notes");
    assert!(notes.body.contains(MIGRATED), "{}", notes.body);
    web.assert_it_waits_in_few_lines();
    let logs = web.logs();
    let order = ["migrate is done", "superuser is done", "app is ready", "web started"];
    let places: Vec<Option<usize>> = order.iter().map(|words| logs.find(words)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{places:?}\n{logs}");

    let session = log_in(&web);
    let started = web.started();
    database.stop();
    let away = web.wait_for_status("/api/notes", 503);
    assert!(away.body.contains("The database is away"), "{}", away.body);
    assert_eq!(web.get("/healthz").status, 200, "the app itself is well");
    web.assert_files(FILES);
    stack.start("database");
    web.wait_for("/api/notes");
    database.crash();
    web.wait_for("/api/notes");
    assert_eq!(web.started(), started, "the app's container was not restarted");
    let page = web.request("GET", "/admin/", &[("Cookie", &session)], "");
    assert_eq!(page.status, 200, "who was logged in still is");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn django_runs_however_it_is_locked_up() {
    let stack = Stack::built("django/compose.yaml");
    stack.up();
    let (image, network) = (stack.image("web"), stack.network());
    let mut options = vec!["--network", &network];
    let secret = |variable: &str, file: &str| format!("{variable}={}", secret(file));
    let secrets = [
        secret("SECRET_KEY", "secret_key"),
        secret("DATABASE_PASSWORD", "database_password"),
        secret("ADMIN_PASSWORD", "admin_password"),
    ];
    let variables = ["WAIT_FOR=tcp://database:5432", "DATABASE_HOST=database", "ALLOWED_HOSTS=127.0.0.1"];
    for variable in variables.into_iter().chain(secrets.iter().map(String::as_str)) {
        options.extend(["--env", variable]);
    }
    for way in WAYS {
        let web = Alone::run(&image, &[&options[..], way].concat());
        web.wait_until_healthy();
        web.assert_files(FILES);
        assert!(web.wait_for("/api/notes").body.contains(MIGRATED));
        log_in(&web);
        eprintln!("django {way:?}: docker stop took {:?}", web.stop());
    }
}

/// All that `collectstatic` collected comes from nginx as what it is.
fn assert_every_file(web: &Container) {
    web.wait_for("/");
    web.assert_files(FILES);
    let list = stdout(&web.exec(&["find", "/run/web/static", "-type", "f"]));
    let address = web.address().unwrap();
    let mut count = 0;
    for path in list.lines().filter_map(|path| path.strip_prefix("/run/web")) {
        let name = path.rsplit('/').next().unwrap();
        let kind = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "css" => "text/css",
            "js" => "application/javascript",
            "html" => "text/html",
            "svg" => "image/svg+xml",
            "txt" => "text/plain",
            "woff" => "font/woff",
            "" => "application/octet-stream",
            other => panic!("{path}: what is .{other}?"),
        };
        let file = http::ask(address, "GET", path, &[], "").expect("an answer");
        assert_eq!((file.status, file.kind()), (200, kind), "{path}");
        count += 1;
    }
    assert!(count > 100, "the admin alone has more\n{list}");
}

/// Through the login page of the admin, as a browser does it; returns the cookies of who is logged in.
fn log_in(web: &Container) -> String {
    let form = web.wait_for("/admin/login/?next=/admin/");
    assert!(form.body.contains("/static/admin/css/base.css"), "{}", form.body);
    let login = |cookie: &str, password: &str| {
        let form =
            format!("csrfmiddlewaretoken={}&username=admin&password={password}&next=/admin/", token(&form));
        web.post("/admin/login/", &form, &[("Cookie", cookie)])
    };
    assert_eq!(
        login("", &secret("admin_password")).status,
        403,
        "without the cookie that belongs to the form"
    );
    let wrong = login(&form.cookies(), "guessed");
    assert!(wrong.status == 200 && wrong.body.contains("errornote"), "{}", wrong.body);
    let right = login(&form.cookies(), &secret("admin_password"));
    assert_eq!((right.status, right.header("location")), (302, "/admin/"), "{}", right.body);
    let session = right.cookies();
    let page = web.request("GET", "/admin/", &[("Cookie", &session)], "");
    assert!(page.status == 200 && page.body.contains("/admin/notes/note/add/"), "{}", page.body);
    session
}

/// Through the admin's form.
fn leave_a_note(web: &Container) {
    assert!(web.wait_for("/api/notes").body.contains(MIGRATED));
    let session = log_in(web);
    let cookie = [("Cookie", &session[..])];
    let form = web.request("GET", "/admin/notes/note/add/", &cookie, "");
    let filled = format!("csrfmiddlewaretoken={}&title={LEFT}&text=Words.&author=", token(&form));
    let added = web.post("/admin/notes/note/add/", &filled, &cookie);
    assert_eq!((added.status, added.header("location")), (302, "/admin/notes/note/"), "{}", added.body);
    assert_note_is_there(web);
}

fn assert_note_is_there(web: &Container) {
    let notes = web.wait_for("/api/notes");
    assert_eq!(notes.kind(), "application/json");
    for words in [MIGRATED, &LEFT.replace('+', " ")] {
        assert_eq!(notes.body.matches(words).count(), 1, "{words}\n{}", notes.body);
    }
}

/// As a person does: reads, logs in, writes.
fn look_at(web: &Container) {
    let page = Page::open(&web.url("/"));
    page.wait_until("document.querySelectorAll('.note').length >= 4");
    page.is_styled("header", "border-bottom-style", "solid");
    page.fits();
    page.picture("django");
    page.go(&web.url("/admin/"));
    page.is_styled("#header", "background-color", "rgb(65, 118, 144)");
    page.write("#id_username", "admin");
    page.write("#id_password", &secret("admin_password"));
    page.follow("document.forms[0].submit()");
    assert!(page.text().contains("Site administration"), "{}", page.text());
    page.is_styled(".addlink", "background-image", "/static/admin/img/icon-addlink.svg");
    page.go(&web.url("/"));
    page.wait_until("!document.getElementById('write').hidden");
    page.write("[name=title]", "Written by hand");
    page.write("[name=text]", "In a browser.");
    page.is("document.querySelector('#write button').click()");
    page.wait_until("document.querySelector('.note h2').textContent == 'Written by hand'");
    page.complains_of_nothing();
}

/// The hidden field of a form.
fn token(form: &Answer) -> &str {
    let value = form.body.split("name=\"csrfmiddlewaretoken\" value=\"").nth(1);
    value.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no token\n{}", form.body))
}

fn secret(file: &str) -> String {
    let path = format!("{}/docker/django/secrets/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap().trim_end().to_owned()
}
