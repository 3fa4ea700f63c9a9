//! Every stack on another base than Debian 12, such as its older and newer releases: each image is built, gets
//! healthy, serves its page, and stops. `BASE_RELEASE=bullseye tests/setup/stacks bases`, with STACKS="django two-apps" only those.

use crate::stack::Stack;

/// Of each: its file, the container that is asked, the page, what is on it.
const STACKS: &[(&str, &str, &str, &str)] = &[
    ("static-site/compose.yaml", "web", "/", "Minnow Point Light"),
    ("catnip/compose.yaml", "app", "/", "A cat, by chance"),
    ("flask-redis/compose.yaml", "nginx", "/data", "visits"),
    ("flask-redis/compose.single.yaml", "all", "/data", "visits"),
    ("two-apps/compose.yaml", "nginx", "/app2/", "Visits so far"),
    ("two-apps/compose.single.yaml", "all", "/app1/", "<td>/app1</td>"),
    ("employees/compose.yaml", "web", "/", "Development"),
    ("employees/compose.single.yaml", "employees", "/", "Development"),
    ("django/compose.yaml", "web", "/api/notes", "This row was written by a migration"),
    ("django/compose.single.yaml", "django", "/api/notes", "This row was written by a migration"),
    ("food-trucks/compose.yaml", "web", "/search?q=waffles", "waffle"),
    ("food-trucks/compose.single.yaml", "all", "/search?q=waffles", "waffle"),
];

#[test]
#[ignore = "by hand, on another base: BASE_RELEASE=bullseye tests/setup/stacks bases"]
fn every_stack_serves_its_page_on_the_base_that_is_named() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name}: make stacks"));
    let (release, redis) = (variable("BASE_RELEASE"), variable("BASE_IMAGE"));
    let only = std::env::var("STACKS").unwrap_or_default();
    let is_meant = |file: &str| only.split(' ').any(|start| file.starts_with(start));
    for (file, service, path, words) in STACKS.iter().filter(|(file, ..)| is_meant(file)) {
        let search = variable("SEARCH_IMAGE");
        let environment = [("REDIS_IMAGE", redis.as_str()), ("SEARCH_IMAGE", &search)];
        let stack = Stack::built_with(file, &environment);
        stack.up();
        let container = stack.container(service);
        let page = container.wait_for(path);
        assert!(page.body.contains(words), "{file}: {words:?} is not in\n{}", page.body);
        eprintln!("{release}, {file}: healthy, serves {path}; docker stop took {:?}", container.stop());
    }
}
