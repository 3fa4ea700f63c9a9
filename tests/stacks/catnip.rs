//! docker/catnip: one Flask file.

use crate::browser;
use crate::container::{Alone, Container, WAYS};
use crate::stack::Stack;
use std::collections::HashSet;

/// Its cats, as /cats.json names them.
const CATS: usize = 8;

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn catnip_shows_a_cat_by_chance_and_returns_whatever_is_done_to_it() {
    let stack = Stack::built("catnip/compose.yaml");
    stack.up();
    let app = stack.container("app");
    assert_cats_are_there(&app);
    // One in 8^30 that it is always the same by chance.
    let seen: HashSet<String> = (0..30).map(|_| cat_on(&app)).collect();
    assert!(seen.len() > 1, "always {seen:?}");
    assert_eq!(app.get("/cats/dog").status, 404);

    let url = app.url("/cats/biscuit");
    let page = browser::look("catnip", &url, ".button", "background-color", "rgb(43, 36, 64)");
    page.wait_until("document.getElementById('cat').naturalWidth > 0");
    page.follow("document.querySelector('.button').click()");
    page.complains_of_nothing();
    assert!(page.text().contains("Another one"), "{}", page.text());
    drop(page);

    app.kill_service("app");
    assert_cats_are_there(&app);
    stack.restart();
    assert_cats_are_there(&app);
    app.crash();
    app.wait_for("/");
    app.kill();
    stack.up();
    assert_cats_are_there(&app);
    eprintln!("catnip: docker stop took {:?}", app.stop());
    stack.down();
    stack.up();
    assert_cats_are_there(&stack.container("app"));
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn catnip_runs_however_it_is_locked_up_and_at_the_port_it_is_told() {
    let stack = Stack::built("catnip/compose.yaml");
    stack.up();
    let image = stack.image("app");
    stack.down();
    let elsewhere = Alone::run_at(7000, &image, &["--env", "PORT=7000"]);
    elsewhere.wait_until_healthy();
    assert_cats_are_there(&elsewhere);
    for way in WAYS {
        let app = Alone::run_at(5000, &image, way);
        app.wait_until_healthy();
        assert_cats_are_there(&app);
        eprintln!("catnip {way:?}: docker stop took {:?}", app.stop());
    }
}

/// Pages, the style sheet, and each cat.
fn assert_cats_are_there(app: &Container) {
    app.wait_for("/");
    let names: serde_json::Value = serde_json::from_str(&app.get("/cats.json").body).unwrap();
    let cats: Vec<&str> = names.as_object().unwrap().values().filter_map(|path| path.as_str()).collect();
    assert_eq!(cats.len(), CATS, "{names}");
    app.assert_files(&[
        ("/", "text/html"),
        ("/static/catnip.css", "text/css"),
        ("/cats.json", "application/json"),
    ]);
    for cat in cats {
        app.assert_files(&[(cat, "image/svg+xml")]);
    }
}

fn cat_on(app: &Container) -> String {
    let page = app.get("/").body;
    let name = page.split("<title>Catnip: ").nth(1).and_then(|rest| rest.split('<').next());
    name.unwrap_or_else(|| panic!("no cat\n{page}")).to_owned()
}
