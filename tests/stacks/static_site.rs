//! docker/static-site: nginx alone.

use crate::browser;
use crate::container::{Alone, Container, WAYS};
use crate::stack::Stack;

/// Every file of it, and what it is; on any base, since the types are the image's own.
const FILES: &[(&str, &str)] = &[
    ("/", "text/html"),
    ("/about/", "text/html"),
    ("/css/site.css", "text/css"),
    ("/js/tide.js", "text/javascript"),
    ("/img/lighthouse.svg", "image/svg+xml"),
    ("/img/flag.svg", "image/svg+xml"),
    ("/img/icon.png", "image/png"),
    ("/fonts/beacon.woff2", "font/woff2"),
    ("/data/tides.json", "application/json"),
    ("/site.webmanifest", "application/manifest+json"),
    ("/robots.txt", "text/plain"),
];

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn the_lighthouse_is_there_and_returns_whatever_is_done_to_it() {
    let stack = Stack::built("static-site/compose.yaml");
    stack.up();
    let web = stack.container("web");
    assert_site_is_there(&web);
    assert_eq!(web.get("/nothing-here").status, 404);
    assert!(web.get("/nothing-here").body.contains("Not on this chart"), "the site's own page");

    let page =
        browser::look("static-site", &web.url("/"), ".button", "background-color", "rgb(255, 214, 92)");
    page.is_styled("h2", "font-family", "Beacon");
    page.wait_until("document.fonts.check('1rem Beacon')");
    page.wait_until("document.querySelector('#curve .water')");
    page.wait_until("document.getElementById('next').textContent.startsWith('Next: ')");
    page.go(&web.url("/about/"));
    page.complains_of_nothing();
    page.fits();
    drop(page);

    web.kill_service("web");
    assert_site_is_there(&web);
    stack.restart();
    assert_site_is_there(&web);
    web.crash();
    web.wait_for("/");
    web.kill();
    stack.up();
    assert_site_is_there(&web);
    eprintln!("static-site: docker stop took {:?}", web.stop());
    stack.down();
    stack.up();
    assert_site_is_there(&stack.container("web"));
}

#[test]
#[ignore = "needs a Docker engine: make stacks"]
fn the_lighthouse_stands_however_it_is_locked_up() {
    let stack = Stack::built("static-site/compose.yaml");
    stack.up();
    let image = stack.image("web");
    stack.down();
    for way in WAYS {
        let web = Alone::run(&image, way);
        web.wait_until_healthy();
        assert_site_is_there(&web);
        eprintln!("static-site {way:?}: docker stop took {:?}", web.stop());
    }
}

fn assert_site_is_there(web: &Container) {
    let page = web.wait_for("/");
    assert!(page.body.contains("Minnow Point Light"), "{}", page.body);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    web.assert_files(FILES);
    // A folder without its slash is found where the client asked, not at a port that only nginx knows.
    let folder = web.get("/about");
    assert_eq!((folder.status, folder.header("location")), (301, web.url("/about/").as_str()));
}
