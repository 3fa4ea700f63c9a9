//! docker/food-trucks: Flask and a search server that starts slowly.
//!
//! The search server is a real Elasticsearch, in an image that stands for the official one (tests/setup/elasticsearch).

use crate::browser;
use crate::container::{Alone, Container, WAYS};
use crate::stack::Stack;

/// Every static file, and what it is; nginx of Debian 12 names a script by its older type.
const FILES: &[(&str, &str)] = &[
    ("/static/trucks.css", "text/css"),
    ("/static/trucks.js", "application/javascript"),
    ("/static/map.svg", "image/svg+xml"),
    ("/static/truck.svg", "image/svg+xml"),
];

/// How many there are.
const TRUCKS: u64 = 320;

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn food_trucks_are_found_in_one_container() {
    let stack = built("food-trucks/compose.single.yaml");
    stack.up();
    let all = stack.container("all");
    assert_trucks_are_found(&all);
    all.assert_files(FILES);
    let logs = all.logs();
    let place = |words: &str| logs.find(words).unwrap_or_else(|| panic!("{words:?} is not in\n{logs}"));
    assert!(place("has got 320 trucks") < place("Listening at"), "the app comes after its trucks\n{logs}");
    assert!(place("started") < place("has got 320 trucks"), "and these after the search server\n{logs}");

    // The search server dies. It is back with no operator, and the app goes on meanwhile.
    let app = all.pid_of("app").expect("the app runs");
    all.kill_service("search");
    assert_trucks_are_found(&all);
    assert_eq!(all.pid_of("app"), Some(app), "the app was left alone");
    for service in ["app", "web"] {
        all.kill_service(service);
        assert_trucks_are_found(&all);
    }

    stack.restart();
    assert_trucks_are_found(&all);
    all.wait_until_it_says("has these 320 trucks already");
    all.crash();
    assert_trucks_are_found(&all);
    all.kill();
    stack.up();
    assert_trucks_are_found(&all);

    eprintln!("food-trucks in one: docker stop took {:?}", all.stop());
    stack.down();
    stack.up();
    let all = stack.container("all");
    assert_trucks_are_found(&all);
    assert_eq!(all.logs().matches("has got 320 trucks").count(), 0, "they were kept\n{}", all.logs());
    all.wait_until_it_says("has these 320 trucks already");
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn food_trucks_are_found_with_a_container_per_tier_whichever_of_them_comes_and_goes() {
    let stack = built("food-trucks/compose.yaml");
    an_app_waits_for_its_search_server_and_outlives_it(&stack);
    stack.up();
    let (web, search) = (stack.container("web"), stack.container("search"));
    assert_trucks_are_found(&web);
    web.assert_files(FILES);
    see_them(&web);
    an_app_runs_however_it_is_locked_up(&stack);

    stack.restart();
    assert_trucks_are_found(&web);
    for tier in [&web, &search] {
        tier.crash();
        assert_trucks_are_found(&web);
        tier.kill();
        stack.up();
        assert_trucks_are_found(&web);
    }
    eprintln!("food-trucks, web: docker stop took {:?}", web.stop());
    stack.down();
    stack.up();
    let web = stack.container("web");
    assert_trucks_are_found(&web);
    web.wait_until_it_says("has these 320 trucks already");
    assert!(!web.logs().contains("has got"), "they were kept\n{}", web.logs());
}

/// Each start of the search server takes a while: so everything about it is asked of one stack.
fn an_app_waits_for_its_search_server_and_outlives_it(stack: &Stack) {
    stack.start("web");
    let web = stack.container("web");
    web.wait_until_it_says("waiting for http://search:9200/");
    assert!(!web.logs().contains("Listening at"), "gunicorn is not launched yet\n{}", web.logs());
    assert_eq!(web.logs().matches("waiting for http").count(), 1, "it says so in one line\n{}", web.logs());

    stack.start("search");
    assert_trucks_are_found(&web);
    web.wait_until_it_says("is there after");
    assert!(!web.logs().contains("Traceback"), "{}", web.logs());

    // It goes away, the page says so, and nobody touches the app until it is back.
    let (before, app) = (web.started(), web.pid_of("app"));
    let page = browser::Page::open(&web.url("/"));
    page.wait_until("document.querySelectorAll('#dots circle').length == 320");
    eprintln!("food-trucks, search: docker stop took {:?}", stack.container("search").stop());
    assert_eq!(web.wait_for_status("/search", 503).kind(), "application/json");
    assert_eq!(web.get("/").status, 200, "the page itself needs no search server");
    web.wait_until("healthy", || web.field("State.Health.Status") == "healthy");
    page.is("ask({})");
    page.wait_until("document.querySelector('#state.away')");
    stack.start("search");
    assert_trucks_are_found(&web);
    page.wait_until(
        "!document.querySelector('#state.away') && document.querySelectorAll('#list li').length > 0",
    );
    assert_eq!((web.started(), web.pid_of("app")), (before, app), "neither container nor app was restarted");
}

/// The web container in each of the ways, with the search server that is there.
fn an_app_runs_however_it_is_locked_up(stack: &Stack) {
    let (image, network) = (stack.image("web"), stack.network());
    let wait = "WAIT_FOR=http://search:9200/_cluster/health?wait_for_status=yellow&timeout=1s";
    let options = ["--network", &network, "--env", "SEARCH_URL=http://search:9200", "--env", wait];
    for way in WAYS {
        let web = Alone::run(&image, &[&options[..], way].concat());
        web.wait_until_healthy();
        assert_trucks_are_found(&web);
        web.assert_files(FILES);
        eprintln!("food-trucks {way:?}: docker stop took {:?}", web.stop());
    }
}

/// As a visitor sees and uses it.
fn see_them(web: &Container) {
    let page = browser::Page::open(&web.url("/"));
    page.wait_until("document.querySelectorAll('#list li').length > 0");
    page.is_styled("header", "background-color", "rgb(41, 51, 92)");
    page.fits();
    page.write("#words", "waffle");
    page.wait_until("document.getElementById('state').textContent.match(/^[1-9]\\d? trucks/)");
    page.is("choose(document.querySelector('#list li').dataset.id, false)");
    page.picture("food-trucks");
    page.is("document.querySelector('#kinds button').click()");
    page.wait_until("document.querySelector('#kinds button[aria-pressed=true]')");
    page.complains_of_nothing();
}

/// All of them, by word, by kind, by place; once the search server answers.
fn assert_trucks_are_found(web: &Container) {
    web.wait_for("/search");
    assert!(web.get("/").body.contains("Port Minnow"));
    let ask = |question: &str| -> serde_json::Value {
        let answer = web.get(&format!("/search?{question}"));
        assert_eq!((answer.status, answer.kind()), (200, "application/json"), "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    };
    assert_eq!(ask("")["total"], TRUCKS);
    let waffles = ask("q=waffles");
    let found = waffles["trucks"].as_array().unwrap();
    assert!(!found.is_empty() && found.len() < 60, "{waffles}");
    assert!(found[0]["dishes"].to_string().contains("waffle"), "stemmed: {waffles}");
    let coffee = ask("kind=coffee");
    let coffee = coffee["trucks"].as_array().unwrap();
    assert!(!coffee.is_empty() && coffee.iter().all(|truck| truck["kind"] == "coffee"));
    let near = ask("near=0.02,0.03");
    let place = &near["trucks"][0]["location"];
    let off = |axis: &str, from: f64| (place[axis].as_f64().unwrap() - from).abs();
    assert!(off("lat", 0.02) < 0.003 && off("lon", 0.03) < 0.003, "the nearest first: {place}");
    assert_eq!(web.get("/search?near=nowhere").status, 400);
}

fn built(file: &str) -> Stack {
    let image = std::env::var("SEARCH_IMAGE").expect("SEARCH_IMAGE: make stacks");
    // Half of Java's compiler, and classes that are mapped instead of loaded (tests/stacks/elasticsearch).
    let java = "-XX:TieredStopAtLevel=1 -XX:SharedArchiveFile=/usr/share/elasticsearch/classes.jsa";
    Stack::built_with(file, &[("SEARCH_IMAGE", &image), ("ES_JAVA_OPTS", java)])
}
