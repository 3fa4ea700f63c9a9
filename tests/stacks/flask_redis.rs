//! docker/flask-redis: Flask, Redis and nginx on a Docker network.

use crate::browser;
use crate::container::{Alone, Container, WAYS};
use crate::stack::Stack;

/// Every static file, and what it is.
const FILES: &[(&str, &str)] = &[
    ("/static/style.css", "text/css"),
    ("/static/counter.js", "application/javascript"),
    ("/static/book.svg", "image/svg+xml"),
    ("/static/robots.txt", "text/plain"),
];

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn the_guest_book_keeps_its_words_in_one_container() {
    let stack = Stack::built("flask-redis/compose.single.yaml");
    stack.up();
    leave_a_word(&stack.container("all"), "single");
    stack.container("all").assert_files(FILES);
    assert_it_looks_right(&stack.container("all"));

    stack.restart();
    assert_word_is_there(&stack.container("all"), "single");
    stack.container("all").crash();
    assert_word_is_there(&stack.container("all"), "single");
    stack.container("all").kill();
    stack.up();
    assert_word_is_there(&stack.container("all"), "single");

    eprintln!("flask-redis in one: docker stop took {:?}", stack.container("all").stop());
    stack.down();
    stack.up();
    assert_word_is_there(&stack.container("all"), "single");
    stack.down_with_volumes();
    stack.up();
    assert_eq!(stack.container("all").get("/data").body.trim(), NOTHING, "new volumes are empty");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn the_guest_book_keeps_its_words_with_a_container_per_tier() {
    let stack = per_tier();
    stack.up();
    let nginx = || stack.container("nginx");
    leave_a_word(&nginx(), "tiers");
    nginx().assert_files(FILES);

    stack.restart();
    assert_word_is_there(&nginx(), "tiers");
    for tier in ["redis", "app", "nginx"] {
        stack.container(tier).crash();
        assert_word_is_there(&nginx(), "tiers");
        stack.container(tier).kill();
        stack.up();
        assert_word_is_there(&nginx(), "tiers");
    }
    for tier in ["nginx", "app", "redis"] {
        eprintln!("flask-redis, {tier}: docker stop took {:?}", stack.container(tier).stop());
    }
    stack.down();
    stack.up();
    assert_word_is_there(&nginx(), "tiers");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn an_app_that_is_started_before_redis_waits_for_it_and_outlives_it() {
    let stack = per_tier();
    stack.start("app");
    stack.start("nginx");
    let app = stack.container("app");
    app.wait_until_it_says("waiting for tcp://redis:6379");
    stack.container("nginx").wait_for_status("/", 502);
    assert!(!app.logs().contains("Listening at"), "gunicorn is not launched yet\n{}", app.logs());

    stack.start("redis");
    stack.container("nginx").wait_for("/");
    app.assert_it_waits_in_few_lines();

    // Redis goes away, and comes back. Nobody touches the app.
    let before = app.started();
    stack.container("redis").stop();
    stack.container("nginx").wait_for_status("/", 503);
    stack.start("redis");
    stack.container("nginx").wait_for("/");
    assert_eq!(app.started(), before, "the app's container was not restarted");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn the_guest_book_runs_however_it_is_locked_up() {
    let stack = Stack::built("flask-redis/compose.single.yaml");
    stack.up();
    let image = stack.image("all");
    stack.down();
    for way in WAYS {
        let all = Alone::run(&image, way);
        all.wait_until_healthy();
        leave_a_word(&all, "locked");
        all.assert_files(FILES);
        eprintln!("flask-redis {way:?}: docker stop took {:?}", all.stop());
    }
}

/// What a new guest book says.
const NOTHING: &str = r#"{"visits":0,"words":[]}"#;

fn per_tier() -> Stack {
    // Debian's redis-server on the base of the tests; the official image cannot be had everywhere.
    let base = std::env::var("BASE_IMAGE").expect("BASE_IMAGE: make stacks");
    Stack::built_with("flask-redis/compose.yaml", &[("REDIS_IMAGE", &base)])
}

/// In a browser: with its colours, its picture, and a word that is written and kept.
fn assert_it_looks_right(web: &Container) {
    let page = browser::look("flask-redis", &web.url("/"), "h1", "color", "rgb(179, 57, 47)");
    page.wait_until("document.querySelector('header img').naturalWidth > 0");
    page.write("input[name=word]", "seen by a browser");
    page.follow("document.querySelector('form button').click()");
    assert!(page.text().contains("seen by a browser"), "{}", page.text());
    page.complains_of_nothing();
}

/// Through the form, as a visitor does.
fn leave_a_word(web: &Container, word: &str) {
    let kept = web.post("/words", &format!("word={word}"), &[]);
    assert_eq!(kept.status, 302);
    assert_word_is_there(web, word);
}

fn assert_word_is_there(web: &Container, word: &str) {
    let page = web.wait_for("/");
    assert_eq!(page.kind(), "text/html");
    assert!(page.body.contains(&format!("<li>{word}</li>")), "{}", page.body);
    let visits = page.body.split("id=\"visits\">").nth(1).and_then(|rest| rest.split('<').next());
    assert!(
        visits.is_some_and(|visits| visits.parse::<u32>().is_ok_and(|visits| visits > 0)),
        "{}",
        page.body
    );
}
